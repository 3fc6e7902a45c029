"""Comparison tables on disk: CSV, Parquet and Markdown of the same rows, and the wide form that people read."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from i2m2_med.files import replace_file
from i2m2_med.report.pages.html import number
from i2m2_med.report.pages.trust import Trust
from i2m2_med.report.statistics.calibration_floor import METRIC as CHANCE_OF_ECE
from i2m2_med.report.statistics.compare import Comparison
from i2m2_med.report.statistics.metrics import METRICS, SOFT

BESIDE = {"average_precision": "prevalence", "ece": CHANCE_OF_ECE}
"""By metric, the one that it is never shown without."""
SHOWN = ("auroc", "average_precision", "accuracy", "balanced_accuracy", "nll", "ece")


def write_tables(
    folder: Path, comparison: Comparison, trust: Trust, further: Mapping[str, pd.DataFrame]
) -> dict[str, Path]:
    """comparison.{csv,parquet,md} and the other tables as CSV. Returns the paths by name."""
    rows = pd.DataFrame(comparison.rows)
    paths = {f"comparison.{kind}": folder / f"comparison.{kind}" for kind in ("csv", "parquet", "md")}
    with replace_file(paths["comparison.csv"]) as beside:
        rows.to_csv(beside, index=False)
    with replace_file(paths["comparison.parquet"]) as beside:
        rows.to_parquet(beside, index=False)
    with replace_file(paths["comparison.md"]) as beside:
        beside.write_text(markdown(wide(rows)) + "\n", encoding="utf-8")
    others = {name: getattr(comparison, name) for name in ("paired", "seeds", "patterns", "operating", "patients")}
    for name, table in (others | trust._asdict() | dict(further)).items():
        paths[name] = folder / f"{name}.csv"
        with replace_file(paths[name]) as beside:
            table.to_csv(beside, index=False)
    return paths


def wide(rows: pd.DataFrame, metrics: tuple[str, ...] = METRICS) -> pd.DataFrame:
    """One line per label and paradigm, one column per metric: `0.812 [0.770, 0.851]`; the mean over seeds where there is one.

    Average precision stands with the prevalence, ECE with what chance alone would give; soft accuracy beside accuracy.
    """
    if SOFT in set(rows["metric"]) and "accuracy" in metrics and SOFT not in metrics:
        metrics = (*metrics, SOFT)
    needed = rows[rows["metric"].isin({*metrics, *BESIDE.values()})]
    mean_first = needed.sort_values("seed", na_position="first", kind="stable")
    one = mean_first.drop_duplicates(["paradigm", "label", "metric"])
    one = one.assign(cell=[with_interval(*values) for values in one[["value", "low", "high"]].astype(float).to_numpy()])
    table = one.pivot(index=["label", "paradigm"], columns="metric", values="cell")
    ends = one.pivot(index=["label", "paradigm"], columns="metric", values=["value", "low", "high"]).astype(float)
    for metric, beside in BESIDE.items():
        if metric in table and beside in table:
            words = [_beside(beside, *row) for row in ends.xs(beside, axis=1, level="metric").to_numpy()]
            table[metric] = [f"{cell} {word}".strip() for cell, word in zip(table[metric], words, strict=True)]
    lines = (
        rows[["label", "paradigm"]]
        .drop_duplicates()
        .sort_values("label", key=lambda label: label.map(_rank(label)), kind="stable")
    )
    return table.reindex(pd.MultiIndex.from_frame(lines))[list(metrics)].reset_index().rename_axis(columns=None)


def _beside(metric: str, value: float, low: float, high: float) -> str:
    if pd.isna(value):
        return ""
    return f"(prevalence {number(value)})" if metric == "prevalence" else f"(chance {number(low)}–{number(high)})"


def with_interval(value: float, low: float, high: float) -> str:
    """A value with its interval, or a dash where it is undefined."""
    if pd.isna(value):
        return "–"
    return number(value) if pd.isna(low) else f"{number(value)} [{number(low)}, {number(high)}]"


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    lines = [list(table.columns), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _rank(names: pd.Series) -> dict[str, int]:
    """Names by the order in which they come."""
    return {name: at for at, name in enumerate(names.drop_duplicates())}
