"""Photographs and drawings (PNG, JPEG, WebP, BMP) as RGB bytes, whatever the file is called.

Grey, palette, 16-bit and CMYK pictures become RGB; what is transparent is laid on white; EXIF's turn is applied. A file that is
no whole picture is refused: it is never replaced, as a picture belongs to its question.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from i2m2_med.errors import SourceError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
MOST_PIXELS = 100_000_000
"""A picture with more is refused before it is decoded."""
GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
"""Pillow's modes of 16-bit grey values."""


def open_photograph(path: Path) -> Image.Image:
    """Open a picture without decoding it. Raises SourceError for what is missing, empty, no picture, or too large."""
    if not path.is_file():
        raise SourceError(f"{path.name} is missing; put the picture where the layout wants it")
    try:
        picture = Image.open(path, formats=FORMATS)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError, SyntaxError) as error:
        raise SourceError(f"{path.name} is no picture ({', '.join(FORMATS)}); get it again") from error
    if picture.width * picture.height > MOST_PIXELS:
        raise SourceError(f"{path.name} has {picture.width} × {picture.height} pixels; {MOST_PIXELS:,} is the most")
    if getattr(picture, "n_frames", 1) > 1:
        raise SourceError(f"{path.name} holds {picture.n_frames} pictures; one is asked for")  # pyright: ignore[reportAttributeAccessIssue]
    return picture


def read_photograph(path: Path, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "3 height width"]:
    """Return a picture as RGB bytes. size: (height, width) that it is squashed to (bicubic), its own where not given.

    Raises SourceError for a file that is no whole picture.
    """
    with open_photograph(path) as opened:
        try:
            picture = in_colours(ImageOps.exif_transpose(opened))
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise SourceError(
                f"{path.name} is a broken picture: {str(error).splitlines()[0]:.80}; get it again"
            ) from error
    if size is not None and picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1))


def in_colours(picture: Image.Image) -> Image.Image:
    """Return a picture of any mode as RGB."""
    if picture.mode in GREY_16:
        grey = np.asarray(picture).astype(np.float64)
        return Image.fromarray(np.clip(grey / 257, 0, 255).round().astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise ValueError("grey values are fractions of no known scale")
    if picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")
