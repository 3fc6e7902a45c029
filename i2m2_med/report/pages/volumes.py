"""Volumes and patients: slices put together, ranked, and judged as probabilities where validation can calibrate them."""

from collections.abc import Mapping
from typing import Literal

import pandas as pd

from i2m2_med.config.evaluation import Evaluation
from i2m2_med.report.pages.html import Section
from i2m2_med.report.pages.write import wide
from i2m2_med.report.statistics.compare import compare_tables
from i2m2_med.report.statistics.paired_predictions import Model
from i2m2_med.report.statistics.volumes import ENOUGH, How, by_volume, recalibrated

RANKING = ("auroc", "average_precision")
"""Metrics of pooled slices whose order alone is meant."""
PROBABILITIES = ("nll", "brier", "ece")
"""Metrics of calibrated volumes."""
NAMED: dict[Literal["study", "patient"], str] = {"study": "volume", "patient": "patient"}


def volume_sections(
    evaluation: Evaluation, tables: Mapping[Model, pd.DataFrame], reference: str, split: str = "test"
) -> tuple[Section, ...]:
    """The comparison with slices put together to volumes and to patients, as `evaluation.volumes` says; or nothing."""
    how = evaluation.volumes
    if how == "none":
        return ()
    ranking: list[tuple[str, pd.DataFrame]] = []
    judged: list[tuple[str, pd.DataFrame]] = []
    notes: list[str] = []
    for level, name in NAMED.items():
        table, few = level_table(evaluation, tables, reference, split, how, level)
        columns = {metric: f"{name}_{metric}" for metric in (*RANKING, *PROBABILITIES)}
        shown = table.rename(columns=columns)
        kept = ["label", "paradigm"]
        ranking.append((f"{name.capitalize()}s", shown[[*kept, *(columns[metric] for metric in RANKING)]]))
        if few:
            notes.append(f"{name.capitalize()}s are ranked only: {few}.")
        else:
            part = shown[[*kept, *(columns[metric] for metric in PROBABILITIES)]]
            judged.append((f"{name.capitalize()}s, probabilities calibrated on validation's {name}s", part))
    text = [
        f"Slices put together by {how.replace('_', '-')}; intervals resample patients. What is put together so ranks volumes and "
        "patients; it is no calibrated probability. It is judged as one only where it was calibrated anew on validation's, which takes "
        f"{ENOUGH} patients of either class for every label and paradigm."
    ]
    return (Section("Volumes and patients", text, notes=notes, tables=[*ranking, *judged]),)


def level_table(
    evaluation: Evaluation,
    tables: Mapping[Model, pd.DataFrame],
    reference: str,
    split: str,
    how: How,
    level: Literal["study", "patient"],
) -> tuple[pd.DataFrame, str]:
    """Metrics of volumes or patients by label and paradigm, on calibrated probabilities; or why those can't be had ('' where they can)."""
    whole: dict[Model, pd.DataFrame] = {}
    few = _why_not(evaluation, split)
    for model, table in tables.items():
        parts = {name: table[table["split"] == name] for name in ("valid", split)}
        whole[model] = by_volume(parts[split], how, level)
        if not few:
            calibrated, few = recalibrated(parts["valid"], whole[model], how, level)
            whole[model] = calibrated
    settings = evaluation.model_copy(update={"primary": None})
    comparison = compare_tables(
        whole, split=split, reference=reference, replicates=evaluation.bootstrap, evaluation=settings
    )
    return wide(pd.DataFrame(comparison.rows), (*RANKING, *PROBABILITIES)), few


def _why_not(evaluation: Evaluation, split: str) -> str:
    """Why volumes are not calibrated anew, whatever validation holds; '' where nothing speaks against it."""
    if split == "valid":
        return "validation can't calibrate itself"
    if evaluation.prior:
        return "evaluation.prior names class shares of slices, not of volumes"
    return "" if evaluation.calibrate else "evaluation.calibrate is off"
