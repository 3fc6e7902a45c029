"""The sentence a report begins with: its answer, and how far it reaches."""

import numpy as np
import pandas as pd

from i2m2_med.report.pages.figures import nice
from i2m2_med.report.pages.write import with_interval
from i2m2_med.report.statistics.bootstrap import MACRO
from i2m2_med.report.statistics.compare import Comparison
from i2m2_med.report.statistics.differences import BY_PATIENT, PRIMARY, THESE_MODELS
from i2m2_med.report.statistics.metrics import LOWER_IS_BETTER

FEW = 4
"""Of so many rivals the answer gives the differences; of more the figure below it does."""
ONE_SEED = (
    "At least one paradigm was trained once, so these are statements about these trained models, not about the paradigms: another "
    "seed may turn them round. Three seeds of each (`seeds: [0, 1, 2]`) would allow a statement about the paradigms."
)


def answer(comparison: Comparison, metric: str, reference: str) -> tuple[str, str]:
    """Whom the reference is better than, worse than or not told apart from, in one sentence; and how far that reaches.

    Of one paradigm: the value of `metric`, the mean over labels.
    """
    rows = one_per_paradigm(pd.DataFrame(comparison.rows), metric)
    if rows["paradigm"].nunique() == 1:
        first = rows.iloc[0]
        over = "" if first["label"] != MACRO else ", the mean over labels"
        words = with_interval(*rows[["value", "low", "high"]].astype(float).to_numpy()[0])
        return (
            f"{nice(reference)}: {nice(metric)} {words}{over}.",
            "One paradigm was trained, so there is nothing to compare it with.",
        )
    paired = comparison.paired[comparison.paired["test"] == BY_PATIENT]
    chosen = paired[paired["role"] == PRIMARY]
    named = len(chosen) > 0
    if not named:
        auroc = paired[paired["metric"] == "auroc"]
        chosen = auroc[auroc["label"] == MACRO] if (auroc["label"] == MACRO).any() else auroc
    if not len(chosen):
        return "", ""
    metric = str(chosen["metric"].iloc[0])
    ends = chosen[["difference", "low", "high"]].astype(float).to_numpy()
    adjusted = chosen[["p_holm", "p_floor"]].astype(float).to_numpy()
    groups: dict[str, list[str]] = {"better than": [], "worse than": [], "not told apart from": []}
    for name, shown, p in zip(chosen["paradigm"].astype(str), ends, adjusted, strict=True):
        better = shown if metric not in LOWER_IS_BETTER else -shown
        which = (
            "better than" if better[1:].min() > 0 else "worse than" if better[1:].max() < 0 else "not told apart from"
        )
        numbers = (
            f" ({with_interval(*shown)}{f', p {p_text(*p)}, Holm' if named else ''})" if len(chosen) <= FEW else ""
        )
        groups[which].append(nice(name) + numbers)
    parts = [f"{which} {', '.join(names)}" for which, names in groups.items() if names]
    role = (
        "This was the primary comparison."
        if named
        else "No primary comparison was named, so all of this is exploratory."
    )
    return (
        f"By {nice(metric)}, {nice(reference)} is {'; '.join(parts)}.",
        f"{role} {_reach(chosen, fold_count(comparison))}",
    )


def fold_count(comparison: Comparison) -> int:
    """Folds of the cross-validation; 0 outside of one."""
    return sum(str(name).startswith("fold ") for name in comparison.folds.columns)


def _reach(chosen: pd.DataFrame, folds: int) -> str:
    """Whom the differences speak of, and what more seeds would allow."""
    if (chosen["scope"] == THESE_MODELS).any():
        return ONE_SEED
    share = float(chosen["refit_share"].astype(float).max())
    if folds:
        return (
            f"These are statements about the paradigms, each trained on {folds} folds: their intervals are of how the folds differ, with "
            "Nadeau and Bengio's correction for the patients that training sets share, and never narrower than patients alone make them."
        )
    narrower = 1 - np.sqrt(1 - share / 2)
    return (
        f"These are statements about the paradigms as trained on these data: training makes up to {share:.0%} of a difference's "
        f"variance, so twice as many seeds would make its interval at least {narrower:.0%} narrower; only more patients shrink the rest."
    )


def one_per_paradigm(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of one metric, of each paradigm and label the mean over seeds where there is one; the mean over labels first."""
    table = rows[rows["metric"] == metric].sort_values("seed", na_position="first", kind="stable")
    table = table.drop_duplicates(["paradigm", "label"]).sort_index()
    return table.sort_values("label", key=lambda label: label != MACRO, kind="stable")


def p_text(p: float, floor: float) -> str:
    """'0.034', or '< 0.0078' where the sample can't support less.

    >>> p_text(0.0078125, 0.0078125), p_text(0.034, 0.0078125)
    ('< 0.0078', '0.034')
    """
    if pd.isna(p):
        return "–"
    smallest = max(floor, 1e-4)
    return f"< {smallest:.2g}" if p <= smallest else f"{p:.2g}"
