"""T1-like volumes of a made head, or of a template: ventricles as wide as the evidence, deep tissue dark or not by the sign.

Both change many voxels: what a small network averages over its last map shows them, in a few hundred volumes.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from i2m2_med.errors import SourceError

FIELD_MM = (160.0, 200.0, 160.0)
"""Of view: left to right, back to front, foot to head."""
NOISE = 0.04
HALF_WIDTH, WIDENING = 0.08, 0.02
"""Of a ventricle, and its change per unit of evidence, as shares of the field."""
DARKENING = 0.3
"""Share of its brightness that the tissue around the ventricles lacks where the sign is negative."""


class Head(NamedTuple):
    """A head without ventricles, and where they lie."""

    tissue: np.ndarray
    """(x, y, z) 0 … 1."""
    grid: tuple[np.ndarray, np.ndarray, np.ndarray]
    """Coordinates −½ … ½ of the field, in RAS."""


@lru_cache(maxsize=4)
def head(matrix: tuple[int, int, int], template: Path | None) -> Head:
    """A made head of skull, grey and white matter, or a template resampled to the matrix."""
    axes = [(np.arange(n) + 0.5) / n - 0.5 for n in matrix]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    if template is not None:
        return Head(resampled(template, matrix), (x, y, z))
    radius = np.sqrt((x / 0.42) ** 2 + (y / 0.45) ** 2 + (z / 0.42) ** 2)
    folds = 0.04 * np.sin(38 * x) * np.sin(34 * y) * np.sin(36 * z)
    tissue = np.select([radius + folds < 0.72, radius < 0.88, radius < 0.94, radius < 1], [0.8, 0.55, 0.1, 0.9], 0.0)
    return Head(tissue.astype(np.float32), (x, y, z))


def resampled(template: Path, matrix: tuple[int, int, int]) -> np.ndarray:
    """A template image on another matrix, turned to RAS, its 99th percentile at 0.8. Raises SourceError where it is no volume."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from scipy.ndimage import zoom

    try:
        image: Any = nibabel.as_closest_canonical(nibabel.load(template))  # pyright: ignore[reportArgumentType]
        values = np.asarray(image.dataobj, np.float32)
    except (OSError, ValueError, EOFError, ImageFileError) as error:
        raise SourceError(f"{template.name} can't be read as NIfTI; name a T1 template") from error
    if values.ndim != 3 or not values.max() > 0:
        raise SourceError(f"{template.name} is no volume of grey values; name a T1 template as NIfTI")
    small: Any = zoom(values, [n / m for n, m in zip(matrix, values.shape, strict=True)], order=1)
    return (0.8 * np.clip(small / np.percentile(values[values > 0], 99), 0, 1.25)).astype(np.float32)


def volume(shape: Head, evidence: float, sign: int, rng: np.random.Generator) -> np.ndarray:
    """(x, y, z) int16 of one patient; nobody's head lies exactly where the others' do."""
    x, y, z = (axis + rng.uniform(-0.01, 0.01) for axis in shape.grid)
    half = np.clip(HALF_WIDTH + WIDENING * evidence, 0.02, 0.16)
    image = shape.tissue.copy()
    if sign < 0:
        image[(x / 0.3) ** 2 + (y / 0.34) ** 2 + (z / 0.3) ** 2 < 1] *= 1 - DARKENING
    for side in (-1, 1):
        image[((x - 0.07 * side) / half) ** 2 + (y / 0.16) ** 2 + ((z - 0.02) / 0.09) ** 2 < 1] = 0.12
    gain = rng.uniform(0.9, 1.1)
    noisy = np.hypot(image * gain + rng.normal(0, NOISE, image.shape), rng.normal(0, NOISE, image.shape))
    return (1000 * noisy).astype(np.int16)
