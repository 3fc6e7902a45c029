"""One run judged by itself: its report, and its metrics as rows; and how a metric is written for a person."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from i2m2_med.config import RunConfig
from i2m2_med.report.build import write_report
from i2m2_med.report.compare import compare_tables
from i2m2_med.report.html import Section
from i2m2_med.report.volumes import by_volume
from i2m2_med.report.write import wide

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
            further=volume_sections(run, {(paradigm, seed): table}, paradigm),
        )
        return report.rows

    return write


def volume_sections(
    run: RunConfig, tables: Mapping[tuple[str, int], pd.DataFrame], reference: str, split: str = "test"
) -> tuple[Section, ...]:
    """The same comparison with slices put together to volumes and to patients, as `evaluation.volumes` says; or nothing."""
    how = run.evaluation.volumes
    if how == "none":
        return ()
    levels: dict[str, pd.DataFrame] = {}
    for level in ("study", "patient"):
        whole = {model: by_volume(table[table["split"] == split], how, level) for model, table in tables.items()}
        found = compare_tables(whole, split=split, reference=reference, replicates=run.evaluation.bootstrap)
        levels[level] = wide(pd.DataFrame(found.rows))
    text = [f"Slices put together by {how.replace('_', '-')}; intervals resample patients."]
    return (
        Section("Volumes and patients", text, tables=[("Volumes", levels["study"]), ("Patients", levels["patient"])]),
    )


def value(row: dict[str, Any]) -> str:
    """'0.812 [0.77, 0.85]', or what of it is undefined."""
    if row["value"] is None:
        return "undefined (one class)"
    if row["low"] is None:
        return f"{row['value']:.3f} [undefined]"
    return f"{row['value']:.3f} [{row['low']:.2f}, {row['high']:.2f}]"
