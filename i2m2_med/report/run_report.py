"""One run judged by itself: its report, and its metrics as rows; and how a metric is written for a person."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from i2m2_med.config.run import RunConfig
from i2m2_med.report.comparison_report import Report, write_report
from i2m2_med.report.pages.ceiling import ideal_observer
from i2m2_med.report.pages.html import Section
from i2m2_med.report.pages.write import wide
from i2m2_med.report.statistics.compare import compare_tables
from i2m2_med.report.statistics.paired_predictions import Model
from i2m2_med.report.statistics.volumes import by_volume

Judge = Callable[[dict[str, Any], str, int, pd.DataFrame, Path], list[dict[str, Any]]]
"""(manifest, paradigm, seed, prediction table, folder) → rows of metrics."""


def judge(run: RunConfig) -> Judge:
    """What turns one run's predictions into metrics with intervals and a report."""

    def write(
        manifest: dict[str, Any], paradigm: str, seed: int, table: pd.DataFrame, folder: Path
    ) -> list[dict[str, Any]]:
        title = f"{run.task}: {paradigm}, seed {seed}"
        return report_on(folder, run, {(paradigm, seed): table}, manifest, title=title, reference=paradigm).rows

    return write


def report_on(
    folder: Path,
    run: RunConfig,
    tables: Mapping[Model, pd.DataFrame],
    manifest: Mapping[str, Any],
    *,
    title: str,
    reference: str,
    split: str = "test",
    metric: str | None = None,
    fingerprints: Mapping[Model, str] | None = None,
) -> Report:
    """The report of a run or comparison, as its config asks for it: with the ceiling of simulated data, and by volume.

    metric: what the main figure shows, `headline(run)` where not said.
    """
    return write_report(
        folder,
        tables=tables,
        manifest=manifest,
        title=title,
        synthetic=run.synthetic,
        ideal=ideal_observer(run, manifest) or None,
        facts=facts_of_run(run),
        metric=metric or headline(run),
        split=split,
        reference=reference,
        replicates=run.evaluation.bootstrap,
        fingerprints=fingerprints,
        further=volume_sections(run, tables, reference, split),
    )


def headline(run: RunConfig) -> str:
    """What the main figure and the terminal's table show: accuracy where epochs are chosen by it, else AUROC."""
    return "accuracy" if run.training.select == "accuracy" else "auroc"


def facts_of_run(run: RunConfig) -> dict[str, str]:
    """What the page's head says of a run beside its data: the population that probabilities are for, where one is named."""
    shares = [
        f"{label} {' / '.join(f'{share:g}' for share in wanted)}" for label, wanted in run.evaluation.prior.items()
    ]
    return {"Probabilities are for a population of": ", ".join(shares)} if shares else {}


def volume_sections(
    run: RunConfig, tables: Mapping[Model, pd.DataFrame], reference: str, split: str = "test"
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
