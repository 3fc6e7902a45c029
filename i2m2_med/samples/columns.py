"""Columns of numbers and categories: what training teaches of them, and the tensor that experts read.

A raw array holds numbers, then categories, each word of which is a number (a hash). The tensor has the columns twice:

    [value or code of each column, 1 where it is known else 0 of each column]

A number is standardised on training, 0 where missing. A category's code is 0 where missing, 1 for a word that training did not
know (or knew too seldom to be told apart), and 2, 3, … for the words told apart.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64

UNKNOWN, FIRST = 1, 2


def fit_columns(raw: Float64[np.ndarray, "row column"], n_categories: int, n_levels: int) -> dict[str, Any]:
    """Mean and standard deviation of numbers, the most frequent words of categories, of training rows."""
    split = raw.shape[1] - n_categories
    known = np.isfinite(raw)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, raw, 0).sum(axis=0) / count
    std = np.sqrt((np.where(known, raw - mean, 0) ** 2).sum(axis=0) / count)
    mean[split:], std[split:] = 0, 1
    levels = [most_frequent(raw[known[:, at], at], n_levels) if at >= split else None for at in range(raw.shape[1])]
    return {"mean": mean.tolist(), "std": np.where(std > 0, std, 1.0).tolist(), "levels": levels}


def most_frequent(words: Float64[np.ndarray, "known"], most: int) -> list[float]:
    """The most frequent words, ascending; of equally frequent ones the smaller."""
    distinct, count = np.unique(words, return_counts=True)
    return sorted(distinct[np.argsort(-count, kind="stable")[:most]].tolist())


def encoded(raw: Float[np.ndarray, "row column"], state: dict[str, Any]) -> Float32[np.ndarray, "row two_columns"]:
    """The tensor of raw rows; a row in which nothing is known is NaN: it is absent, not average."""
    known = np.isfinite(raw)
    value = np.where(known, (raw - np.asarray(state["mean"])) / np.asarray(state["std"]), 0)
    for at, levels in enumerate(state["levels"]):
        if levels is not None:
            value[:, at] = np.where(known[:, at], code_of(raw[:, at], np.asarray(levels)), 0)
    made = np.concatenate([value, known], axis=1).astype(np.float32)
    made[~known.any(axis=1)] = np.nan
    return made


def code_of(words: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(row,) codes of words: their place among `levels` from 2 on, 1 for any other."""
    if not len(levels):
        return np.full(len(words), UNKNOWN)
    at = np.minimum(np.searchsorted(levels, words), len(levels) - 1)
    return np.where(levels[at] == words, at + FIRST, UNKNOWN)
