"""Training curves as a table: what every stage of a paradigm was at after each epoch, whether it was interrupted or not."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from i2m2_med.errors import SourceError
from i2m2_med.files import replace_file

TYPES = {
    "stage": str, "learning_rate": float, "epoch": int, "train_loss": float, "valid_nll": float, "select": str, "value": float,
}  # fmt: skip
"""Columns of a table of curves; `value` is that of the metric `select` on validation, epochs count from 1."""


class Curve(NamedTuple):
    """One stage with one learning rate."""

    stage: str
    """The experts that it trained, '+'-joined."""
    learning_rate: float
    select: str
    """The metric that its epoch was chosen by."""
    history: Sequence[dict[str, float]]
    """Per epoch: `train_loss`, `valid_<metric>`."""


def write_curves(path: Path, curves: Sequence[Curve]) -> None:
    """Write the table of curves as CSV."""
    rows = [
        {"stage": curve.stage, "learning_rate": curve.learning_rate, "epoch": epoch}
        | {"train_loss": metrics.get("train_loss"), "valid_nll": metrics.get("valid_nll")}
        | {"select": curve.select, "value": metrics.get(f"valid_{curve.select}")}
        for curve in curves
        for epoch, metrics in enumerate(curve.history, 1)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as beside:
        pd.DataFrame(rows, columns=list(TYPES)).to_csv(beside, index=False)


def read_curves(path: Path | None) -> pd.DataFrame:
    """The table of curves; empty where there is no file. Raises SourceError for a file that is no such table."""
    if path is None or not path.is_file():
        return pd.DataFrame(columns=list(TYPES))
    try:
        return pd.read_csv(path, usecols=list(TYPES), dtype=TYPES, nrows=1_000_000)  # pyright: ignore[reportArgumentType]
    except ValueError as error:
        raise SourceError(f"{path} is no table of training curves, or a damaged one") from error
