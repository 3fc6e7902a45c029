"""Chunks of text → tokens. Nothing here is fitted on data, so nothing can pass from one patient to another."""

import zlib
from functools import lru_cache

import numpy as np
import polars as pl
from jaxtyping import Int32

from i2m2_med.sources.text.chunks import WORD
from i2m2_med.sources.text.settings import Text
from i2m2_med.sources.text.word_pieces import word_pieces

HOUR_TOKENS = 64
"""Tokens 1 … 64 say when a chunk was available: 1 = up to hour 0, 2 = within the first hour, … Each chunk begins with one."""


def tokens(chunks: pl.DataFrame, n_rows: int, settings: Text) -> Int32[np.ndarray, "row chunk token"]:
    """0 = padding: an hour and hashed words, or the word pieces of the named tokenizer. chunks: as of `chunked`."""
    made = np.zeros((n_rows, settings.chunks, settings.tokens), np.int32)
    if settings.tokenizer:
        pieces = word_pieces(chunks["text"].to_list(), settings.tokenizer, settings.tokens)
        made[chunks["row"].to_numpy(), chunks["chunk"].to_numpy()] = pieces
        return made
    for row, chunk, hours, text in chunks.iter_rows():
        words = WORD.findall(text.lower())
        line = [hour_token(hours), *(token(word, settings.vocabulary) for word in words)]
        made[row, chunk, : len(line)] = line
    return made


def hour_token(hours: float) -> int:
    """1 for what was there by hour 0, then one token per begun hour, the last for all later ones."""
    return int(min(max(np.ceil(hours), 0) + 1, HOUR_TOKENS))


@lru_cache(maxsize=500_000)
def token(word: str, vocabulary: int) -> int:
    """A word's bucket, the same on every machine."""
    return HOUR_TOKENS + 1 + zlib.crc32(word.encode()) % (vocabulary - HOUR_TOKENS - 1)
