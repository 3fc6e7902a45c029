"""One run judged by itself: its report, and its metrics as rows; and how a metric is written for a person."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from i2m2_med.config.run import RunConfig
from i2m2_med.curves import read_curves
from i2m2_med.predictions import Judge, Rows
from i2m2_med.report.comparison_report import Evidence, WrittenReport, write_report
from i2m2_med.report.method import method_of
from i2m2_med.report.pages.ceiling import ideal_observer
from i2m2_med.report.pages.consistency import consistency_sections
from i2m2_med.report.pages.volumes import volume_sections
from i2m2_med.report.statistics.compare import compare_tables
from i2m2_med.report.statistics.intervals import WITHOUT
from i2m2_med.report.statistics.paired_predictions import Model


def run_judge(run: RunConfig) -> Judge:
    """Return the judge of single runs: their predictions → metrics with intervals, and a report."""

    def write(manifest: dict[str, Any], paradigm: str, seed: int, table: pd.DataFrame, folder: Path | None) -> Rows:
        title = f"{run.task}: {paradigm}, seed {seed}"
        if folder is None:
            judged = run.evaluation
            return compare_tables(
                {(paradigm, seed): table}, reference=paradigm, replicates=judged.bootstrap, evaluation=judged
            ).rows
        one = Evidence(
            tables={(paradigm, seed): table},
            manifest=manifest,
            title=title,
            reference=paradigm,
            examples=folder / "examples",
            curves={(paradigm, seed): read_curves(folder / "curves.csv")},
        )
        return report_on(folder, run, one).rows

    return write


def report_on(folder: Path, run: RunConfig, evidence: Evidence) -> WrittenReport:
    """Write the report of a run or comparison as its config asks for it: with the ceiling of simulated data, and by volume."""
    return write_report(
        folder,
        replace(
            evidence,
            synthetic=run.synthetic or bool(evidence.manifest.get("synthetic")),
            ideal=ideal_observer(run, evidence.manifest) or None,
            metric=evidence.metric or main_metric(run),
            method=method_of(run),
            provenance=dict(evidence.provenance) or read_origin(folder),
            facts=facts_of_run(run) | calibration_facts(evidence.tables) | dict(evidence.facts),
            replicates=run.evaluation.bootstrap,
            evaluation=run.evaluation,
            further=(
                *volume_sections(run.evaluation, evidence.tables, evidence.reference, evidence.split),
                *consistency_sections(run.evaluation, evidence.tables, evidence.split),
            ),
        ),
    )


def read_origin(folder: Path) -> dict[str, str]:
    """Return what the engine noted of a report's origin in its folder; nothing where it did not."""
    path = folder / "provenance.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def main_metric(run: RunConfig) -> str:
    """Return what the main figure and the terminal's table show: accuracy where epochs are chosen by it, else AUROC."""
    select = run.training.select
    return select if select in {"accuracy", "soft_accuracy"} else "auroc"


def facts_of_run(run: RunConfig) -> dict[str, str]:
    """Return what the page's head says of a run beside its data: the population that probabilities are for, where one is named."""
    shares = [
        f"{label} {' / '.join(f'{share:g}' for share in wanted)}" for label, wanted in run.evaluation.prior.items()
    ]
    return {"Probabilities are for a population of": ", ".join(shares)} if shares else {}


def calibration_facts(tables: Mapping[Model, pd.DataFrame]) -> dict[str, str]:
    """Return, for the head of page and card, which patterns of modalities calibration had numbers of their own for."""
    facts = ["pattern", "calibrated"]
    named = [table[facts] for table in tables.values() if {*facts} <= {*table}]
    if not named:
        return {}
    share = pd.concat(named).groupby("pattern")["calibrated"].mean()
    words = [f"{pattern} {'yes' if mean == 1 else 'no' if mean == 0 else 'in part'}" for pattern, mean in share.items()]
    return {"Calibrated on samples of the same modalities": ", ".join(words)}


def value(row: dict[str, Any]) -> str:
    """Return '0.812 [0.77, 0.85]', or what of it is undefined."""
    if row["value"] is None:
        return "undefined: see report"
    if row["low"] is None:
        return f"{row['value']:.3f}" if row["metric"] in WITHOUT else f"{row['value']:.3f} [undefined]"
    return f"{row['value']:.3f} [{row['low']:.2f}, {row['high']:.2f}]"
