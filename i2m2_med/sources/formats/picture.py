"""Pictures (JPEG, PNG) as grey values from 0 to 1."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from i2m2_med.errors import SourceError

FORMATS = ("JPEG", "PNG")
MOST_PIXELS = 64_000_000
GREATEST = {"1": 1, "L": 255, "I;16": 65_535, "RGB": 255}
"""By kind of picture (as Pillow calls it), the value that is white."""


@contextmanager
def opened(path: Path) -> Generator[Any]:
    """Pillow's picture, its pixels not read yet. Raises SourceError for what is none, damaged, too large, or of another kind."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise SourceError(f"the picture has more than {MOST_PIXELS:,} pixels")
            if picture.mode not in GREATEST:
                raise SourceError(f"the picture is of the kind {picture.mode}; known are {', '.join(GREATEST)}")
            yield picture
    except FileNotFoundError as error:
        raise SourceError("the picture is not there") from error
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise SourceError(f"the picture is no {' or '.join(FORMATS)} that can be read; copy it again") from error


def read_picture(path: Path) -> Float32[np.ndarray, "height width"]:
    """Grey values from 0 to 1; colours by their luminance, turned as the file says. Raises SourceError as `opened` does."""
    from PIL import ImageOps

    with opened(path) as picture:
        white = GREATEST[picture.mode]
        upright = ImageOps.exif_transpose(picture)
        grey = upright.convert("L") if upright.mode == "RGB" else upright
        return np.asarray(grey, np.float32) / white
