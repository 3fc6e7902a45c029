"""Texts of a column, or of the files that it names → tokens."""

from pathlib import Path

import numpy as np
import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.table.reading import LONGEST_CELL
from i2m2_med.sources.table.settings import Text
from i2m2_med.sources.text.chunks import chunked
from i2m2_med.sources.text.tokens import tokens


def read_text_file(path: Path) -> str:
    """A text file's content. Raises SourceError for one that is too long, or not UTF-8."""
    if path.stat().st_size > LONGEST_CELL:
        raise SourceError(f"{path.name} has {path.stat().st_size / 2**20:.1f} MiB; a text has 1 at most")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path.name} is not text in UTF-8; write it again") from error


def text_array(texts: list[str | None], settings: Text) -> np.ndarray:
    """(row, chunk, token) int32, 0 = padding; a row without a text is all padding."""
    kept = [(row, 0.0, text) for row, text in enumerate(texts) if text and text.strip()]
    frame = pl.DataFrame(kept, schema={"row": pl.Int32, "hours": pl.Float64, "text": pl.String}, orient="row")
    return tokens(chunked(frame, settings), len(texts), settings)
