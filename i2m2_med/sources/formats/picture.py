"""Picture files, opened by Pillow for every reader of them; and grey values from 0 to 1."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float32

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.damaged import blamed_on

MOST_PIXELS = 100_000_000
"""A picture with more is refused before it is decoded."""
GREATEST = {"1": 1, "L": 255, "I;16": 65_535, "RGB": 255}
"""By kind of picture (as Pillow calls it), the value that is white."""


@contextmanager
def opened(path: Path, formats: tuple[str, ...], name: str) -> Generator[Any]:
    """Pillow's picture, its pixels not read yet. formats: those that are taken, whatever the file is called; name: what messages call it.

    Raises SourceError for what is missing, no picture, too large, or several in one; and for damage that its pixels turn out to have.
    """
    if not path.is_file():
        raise SourceError(f"{name} is not there")
    with blamed_on(name), path.open("rb") as file:
        with begun(file, formats, name) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise SourceError(
                    f"{name} has {picture.width} × {picture.height} pixels; {MOST_PIXELS:,} are the most of a picture"
                )
            if getattr(picture, "n_frames", 1) > 1:
                raise SourceError(f"{name} holds {getattr(picture, 'n_frames', 1)} pictures; one is asked for")
            if picture.format != "PNG":
                yield picture
                return
            picture.verify()  # the checksums of its parts, which decoding does without; after it a file is opened anew
        file.seek(0)
        with begun(file, formats, name) as picture:
            yield picture


def begun(file: BinaryIO, formats: tuple[str, ...], name: str) -> Any:
    """Pillow's picture of an open file: of a path Pillow maps plain TIFF files, and shears those that lie on their side."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MOST_PIXELS judges
            return Image.open(file, formats=formats)
    except UnidentifiedImageError as error:
        raise SourceError(f"{name} is no picture ({', '.join(formats)}); get it again") from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, which it tells before the size
        raise SourceError(f"{name} says that it has more than {MOST_PIXELS:,} pixels, the most of a picture") from error


@contextmanager
def opened_grey(path: Path) -> Generator[Any]:
    """A JPEG or PNG that stands for grey values. Raises SourceError as `opened` does, and for another kind of picture."""
    with opened(path, ("JPEG", "PNG"), "the picture") as picture:
        if picture.mode not in GREATEST:
            raise SourceError(f"the picture is of the kind {picture.mode}; known are {', '.join(GREATEST)}")
        if "transparency" in picture.info:
            raise SourceError("the picture has transparent pixels; what lies behind them is not known")
        yield picture


def read_picture(path: Path) -> Float32[np.ndarray, "height width"]:
    """Grey values from 0 to 1; colours by their luminance, turned as the file says. Raises SourceError as `opened_grey` does."""
    from PIL import ImageOps

    with opened_grey(path) as picture:
        white = GREATEST[picture.mode]
        upright = ImageOps.exif_transpose(picture)
        grey = upright.convert("L") if upright.mode == "RGB" else upright
        return np.asarray(grey, np.float32) / white
