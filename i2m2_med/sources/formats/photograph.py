"""Photographs and drawings (PNG, JPEG, WebP, BMP) as RGB bytes, whatever the file is called.

Grey, palette, 16-bit and CMYK pictures become RGB; what is transparent is laid on white; EXIF's turn is applied. A file that is
no whole picture is refused: it is never replaced, as a picture belongs to its question.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.picture import opened

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
"""Pillow's modes of 16-bit grey values."""


def open_photograph(path: Path) -> AbstractContextManager[Any]:
    """Open a picture without decoding it. Raises SourceError for what is missing, empty, no picture, or too large."""
    return opened(path, FORMATS, path.name)


def check_photograph(path: Path) -> None:
    """Raise SourceError for a file that `open_photograph` refuses."""
    with open_photograph(path):
        pass


def read_photograph(path: Path, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "3 height width"]:
    """Return a picture as RGB bytes. size: (height, width) that it is squashed to (bicubic), its own where not given.

    Raises SourceError for a file that is no whole picture.
    """
    with open_photograph(path) as stored:
        picture = in_colours(ImageOps.exif_transpose(stored), path.name)
    if size is not None and picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1))


def in_colours(picture: Image.Image, name: str) -> Image.Image:
    """Return a picture of any mode as RGB. Raises SourceError, with the file's `name`, for values of no known scale."""
    if picture.mode in GREY_16:
        grey = np.asarray(picture).astype(np.float64)
        return Image.fromarray(np.clip(grey / 257, 0, 255).round().astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise SourceError(f"{name} holds grey values that are fractions of no known scale")
    if picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")
