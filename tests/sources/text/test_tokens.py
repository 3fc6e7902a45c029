"""Text → chunks → tokens: nothing of a text is lost that there is room for, and the same word is the same token everywhere."""

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from i2m2_med.sources.text.chunks import WORD, chunked
from i2m2_med.sources.text.settings import Text
from i2m2_med.sources.text.tokens import HOUR_TOKENS, hour_token, token, tokens

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def texts(*rows: tuple[int, float, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"row": pl.Int32, "hours": pl.Float64, "text": pl.String}, orient="row")


def test_tokens_are_the_same_everywhere():
    assert [token(word, 20_000) for word in ("pt", "resting", ".")] == [12965, 6695, 3973]
    assert all(HOUR_TOKENS < token(str(word), 128) < 128 for word in range(1000))


def test_hours_have_tokens_of_their_own():
    assert hour_token(-3.0) == hour_token(0.0) == 1
    assert [hour_token(hours) for hours in (0.1, 1.0, 1.1)] == [2, 2, 3]
    assert hour_token(500.0) == HOUR_TOKENS


@given(n_words=st.integers(0, 60), size=st.integers(8, 20), overlap=st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_chunks_cover_the_text_and_overlap_as_asked(n_words: int, size: int, overlap: int):
    words = [ALPHABET[n % 26] * (1 + n // 26) for n in range(n_words)]
    chunks = chunked(texts((0, 0.0, " ".join(words))), Text(chunks=100, tokens=size, overlap=overlap))
    cut = [WORD.findall(text) for text in chunks["text"]]
    assert [word for number, chunk in enumerate(cut) for word in chunk[overlap if number else 0 :]] == words
    assert all(later[:overlap] == earlier[len(earlier) - overlap :] for earlier, later in pairwise(cut))
    assert all(len(chunk) < size for chunk in cut)


def test_the_latest_chunks_of_each_sample_are_kept():
    many = texts(*((0, float(hour), f"{ALPHABET[hour]} " * 5) for hour in range(9)), (2, 1.0, "one"))
    chunks = chunked(many, Text(chunks=3, tokens=8, overlap=2))
    assert chunks.filter(row=0)["hours"].to_list() == [6.0, 7.0, 8.0]
    assert chunks.filter(row=2)["chunk"].to_list() == [0]


def test_a_sample_without_text_is_padding_only():
    settings = Text(chunks=2, tokens=8, overlap=0)
    made = tokens(chunked(texts((1, 0.0, "Skin warm")), settings), 3, settings)
    assert made.shape == (3, 2, 8)
    assert not made[[0, 2]].any()
    assert made[1, 0].tolist() == [1, token("skin", 20_000), token("warm", 20_000), 0, 0, 0, 0, 0]


def test_an_overlap_of_the_whole_chunk_is_refused():
    with pytest.raises(ValidationError, match="overlap must be smaller than tokens"):
        Text(tokens=16, overlap=15)
