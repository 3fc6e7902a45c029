"""One run judged by itself: its report, and its metrics as rows; and how a metric is written for a person."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from i2m2_med.config import RunConfig
from i2m2_med.report.build import write_report

Judge = Callable[[dict[str, Any], str, int, pd.DataFrame, Path], list[dict[str, Any]]]
"""(manifest, paradigm, seed, prediction table, folder) → rows of metrics."""


def judge(run: RunConfig) -> Judge:
    """What turns one run's predictions into metrics with intervals and a report."""

    def write(
        manifest: dict[str, Any], paradigm: str, seed: int, table: pd.DataFrame, folder: Path
    ) -> list[dict[str, Any]]:
        report = write_report(
            folder,
            tables={(paradigm, seed): table},
            manifest=manifest,
            title=f"{run.task}: {paradigm}, seed {seed}",
            synthetic=run.synthetic,
            reference=paradigm,
            replicates=run.evaluation.bootstrap,
        )
        return report.rows

    return write


def value(row: dict[str, Any]) -> str:
    """'0.812 [0.77, 0.85]', or what of it is undefined."""
    if row["value"] is None:
        return "undefined (one class)"
    if row["low"] is None:
        return f"{row['value']:.3f} [undefined]"
    return f"{row['value']:.3f} [{row['low']:.2f}, {row['high']:.2f}]"
