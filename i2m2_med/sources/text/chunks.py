"""Texts → chunks of so many words, the latest of each sample."""

import re

import polars as pl

from i2m2_med.sources.text.settings import Text

WORD = re.compile(r"[A-Za-z]+|\d+|[^\sA-Za-z\d]")
WORDS_PER_PIECE = 0.6
"""Of a chunk for a tokenizer of word pieces, which cuts one word into several; what does not fit is cut off."""


def chunked(texts: pl.DataFrame, settings: Text) -> pl.DataFrame:
    """`row`, `chunk` (0, 1, …), `hours`, `text`: the latest `chunks` windows of each sample's texts, in order of time.

    texts: `row` (of the sample), `hours` (when the text was there; 0 where texts have no time), `text`, each sample's in order of time.
    """
    room = settings.tokens - 1  # one token says the hour
    room = int(room * WORDS_PER_PIECE) if settings.tokenizer else room
    step = max(1, room - settings.overlap)
    pieces: list[tuple[int, float, str]] = []
    for row, hours, text in texts.select("row", "hours", "text").iter_rows():
        ends = [word.span() for word in WORD.finditer(text)]
        for start in range(0, max(1, len(ends) - settings.overlap), step)[-settings.chunks :]:
            words = ends[start : start + room]
            pieces.append((row, hours, text[words[0][0] : words[-1][1]] if words else ""))
    schema = {"row": pl.Int32, "hours": pl.Float64, "text": pl.String}
    latest = (
        pl.DataFrame(pieces, schema=schema, orient="row").group_by("row", maintain_order=True).tail(settings.chunks)
    )
    numbered = latest.with_columns(chunk=pl.int_range(pl.len()).over("row").cast(pl.Int32))
    return numbered.select("row", "chunk", "hours", "text")
