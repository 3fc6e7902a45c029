"""Images of any of the usual formats: what one holds (from its header), and its pixels as (channel, …) float32 with a place in space.

Read completely or refused: several pages, series or images in one file, transparent pixels, complex numbers and sizes that no
memory holds are one line each. Palettes and CMYK become RGB, 16 bits stay 16 bits.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.damaged import blamed_on
from i2m2_med.sources.table.image_files import MOST_CHANNELS, Layout, check_size, opened


@dataclass(frozen=True)
class Facts:
    """An image by its header."""

    shape: tuple[int, ...]
    """Of space: two numbers or three."""
    channels: int

    @property
    def dimensions(self) -> int:
        """Of space."""
        return len(self.shape)


@dataclass(frozen=True)
class Pixels:
    """An image in memory."""

    values: np.ndarray
    """(channel, first, second[, third]) float32."""
    affine: np.ndarray | None
    """(4, 4) from indices to mm towards right, anterior, superior; None where the format has no place."""


def facts(cell: str, path: Path, dimensions: int | None = None) -> Facts:
    """What an image holds, from its header alone where the format has one. Raises SourceError where it can't be read."""
    with blamed_on(path.name):
        array, layout, _ = opened(cell, path, pixels=False)
        return shaped(tuple(array.shape), path.name, layout, dimensions)


def read_image(cell: str, path: Path, dimensions: int) -> Pixels:
    """An image's pixels. dimensions: of space, 2 or 3. Raises SourceError where it can't be read, or holds no finite number."""
    with blamed_on(path.name):
        array, layout, affine = opened(cell, path, pixels=True)
        known = shaped(tuple(array.shape), path.name, layout, dimensions)
        low, high = float(np.min(array)), float(np.max(array))  # NaN is both; bytes are looked at faster than floats
        values = np.asarray(array, np.float32)  # in the order in which it is stored: turning it costs more than reading
    if known.dimensions != dimensions:
        raise SourceError(f"{path.name} is {known.dimensions}-D, the others are {dimensions}-D")
    if layout != "array":  # channels last, if at all
        values = (
            values.reshape(known.shape)[None]
            if known.channels == 1
            else np.moveaxis(values.reshape(*known.shape, known.channels), -1, 0)
        )
    values = values.reshape(known.channels, *known.shape)
    if not np.isfinite([low, high]).all():
        raise SourceError(f"{path.name} holds values that are no numbers (NaN or infinite)")
    if low == high:
        raise SourceError(f"{path.name} is empty: all its values are the same")
    return Pixels(values, affine if dimensions == 3 else None)


def shaped(shape: tuple[int, ...], name: str, layout: Layout, dimensions: int | None) -> Facts:
    """Space and channels of a stored shape. picture: (row, column[, colour]); space: (x, y[, z[, channel]]); array: ([channel,] …)."""
    check_size(shape, name)
    if layout == "picture":
        space, channels = shape[:2], shape[2:]
    elif layout == "space":
        flat = len(shape) < 3 or (shape[2] == 1 and dimensions != 3)
        space, channels = shape[: 2 if flat else 3], shape[3:]
    else:
        bare = len(shape) if dimensions is None else dimensions
        if len(shape) not in {bare, bare + 1} or bare not in {2, 3}:
            wanted = f"{dimensions} of space" if dimensions else "2 or 3 of space"
            raise SourceError(
                f"{name} is an array of {len(shape)} axes; {wanted}, with or without channels first, are needed"
            )
        space, channels = shape[len(shape) - bare :], shape[: len(shape) - bare]
    count = int(np.prod(channels, dtype=int))
    if count > MOST_CHANNELS:
        raise SourceError(f"{name} holds {count} images in one; give one image (or at most {MOST_CHANNELS} channels)")
    return Facts(tuple(space), count)
