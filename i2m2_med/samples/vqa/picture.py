"""The picture that `i2m2 prepare` draws of a cohort of questions: a few pictures with their question and its answer."""

from pathlib import Path
from typing import Any

import polars as pl

from i2m2_med.samples.question_sheet import Question, draw_questions

SHOWN = 6


def draw_prepared(source: Any, folder: Path) -> Path:
    """Draw questions of the training split, of different answers where there are such; return the picture's path."""
    names = source.labels_in(folder).classes
    records = pl.read_parquet(folder / "records.parquet").filter(
        (pl.col("split") == "train") & (pl.col("label_answer") >= 0)
    )
    rows = records.group_by("label_answer", maintain_order=True).head(2).head(SHOWN).to_dicts()
    shown = [Question(row["_pictures"], row["_question"], names[row["label_answer"]]) for row in rows]
    return draw_questions(shown, folder / "samples.png", "Prepared questions of training")
