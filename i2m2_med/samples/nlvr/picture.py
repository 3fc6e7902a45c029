"""The picture that `i2m2 prepare` draws of a cohort of statements: a few pictures with their sentence and its truth."""

from pathlib import Path
from typing import Any

import polars as pl

from i2m2_med.samples.question_sheet import Question, draw_questions

SHOWN = 6


def draw_prepared(source: Any, folder: Path) -> Path:
    """Draw statements of the training split, true and false ones in turn, into the prepared folder; return the picture's path."""
    records = pl.read_parquet(folder / "records.parquet").filter(pl.col("split") == "train")
    sides = [records.filter(pl.col("label_statement") == truth).head(SHOWN // 2).to_dicts() for truth in (1, 0)]
    rows = [row for pair in zip(*sides, strict=False) for row in pair]
    names = source.labels.classes
    shown = [Question(row["_pictures"], row["_sentence"], names[row["label_statement"]]) for row in rows]
    return draw_questions(shown, folder / "samples.png", "Prepared statements of training")
