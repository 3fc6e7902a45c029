"""Operating points: thresholds chosen on validation samples, then applied as they are.

A sample is called positive when its log-odds reach the threshold (`>=`, as the ROC counts).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.intervals import metric_interval
from i2m2_med.report.statistics.paired_predictions import Cohort, said
from i2m2_med.report.statistics.table import Predictions, log_odds

WANTED = {"sensitivity": 0.90, "specificity": 0.90}
COLUMNS = ["paradigm", "seed", "label", "chosen for", "threshold", "metric", "value", "low", "high"]


class Point(NamedTuple):
    """A threshold on log-odds, and what it was chosen for."""

    chosen_for: str
    threshold: float


def choose_threshold(
    score: Float[np.ndarray, "sample"], positive: Bool[np.ndarray, "sample"], want: str, least: float
) -> float:
    """The threshold that keeps `want` (sensitivity or specificity) at `least` or more and gives the other the most.

    NaN where the samples hold one class only.
    """
    if positive.all() or not positive.any():
        return float("nan")
    if want == "sensitivity":
        hits = np.sort(score[positive])[::-1]
        return float(hits[int(np.ceil(least * len(hits) - 1e-9)) - 1])
    spared = np.sort(score[~positive])
    last = spared[int(np.ceil(least * len(spared) - 1e-9)) - 1]
    above = score[score > last]
    return float(above.min()) if len(above) else float(np.inf)


def operating_points(
    every: Cohort, common: Cohort, weights: Float[np.ndarray, "patient draw"]
) -> tuple[pd.DataFrame, list[str]]:
    """Thresholds from the validation samples of `every`, applied to `common`; and remarks on what could not be done."""
    if len(common.first.classes) != 2:
        return pd.DataFrame(columns=COLUMNS), []
    valid = every.of("valid")
    if not any(len(predictions.samples) for predictions in valid.models.values()):
        return pd.DataFrame(columns=COLUMNS), [
            "no operating point: the tables hold no validation samples to choose it on."
        ]
    rows: list[Row] = []
    notes: list[str] = []
    for (paradigm, seed), predictions in common.models.items():
        chosen = valid.models[paradigm, seed]
        chosen = chosen.take(chosen.answered)
        for at, label in enumerate(predictions.labels):
            for want, least in WANTED.items():
                score, positive = _scores(chosen, at)
                threshold = choose_threshold(score, positive, want, least)
                if np.isnan(threshold):
                    notes.append(
                        f"no operating point of {said((paradigm, seed))} for {label}: validation holds one class only."
                    )
                    break
                head = {"paradigm": paradigm, "seed": seed, "label": label, "chosen for": f"{want} ≥ {least:.2f}"}
                rows += [head | {"threshold": threshold} | row for row in _apply(predictions, at, threshold, weights)]
    return pd.DataFrame(rows, columns=COLUMNS), notes


def decision_replicates(
    called: Bool[np.ndarray, "sample"],
    positive: Bool[np.ndarray, "sample"],
    patient: np.ndarray,
    weights: Float[np.ndarray, "patient draw"],
) -> dict[str, Float[np.ndarray, "draw"]]:
    """Sensitivity, specificity and predictive values of yes/no calls, per column of `weights`; NaN where undefined."""
    cells = {"tp": called & positive, "fp": called & ~positive, "fn": ~called & positive, "tn": ~called & ~positive}
    n = {name: np.bincount(patient, weights=cell, minlength=len(weights)) @ weights for name, cell in cells.items()}
    ratios = {
        "sensitivity": (n["tp"], n["tp"] + n["fn"]),
        "specificity": (n["tn"], n["tn"] + n["fp"]),
        "positive_predictive_value": (n["tp"], n["tp"] + n["fp"]),
        "negative_predictive_value": (n["tn"], n["tn"] + n["fn"]),
    }
    return {name: top / np.where(bottom > 0, bottom, np.nan) for name, (top, bottom) in ratios.items()}


def _scores(said: Predictions, label: int) -> tuple[np.ndarray, np.ndarray]:
    known = said.target[:, label] >= 0
    return log_odds(said.p[known, label])[:, 1], said.target[known, label] == 1


def _apply(said: Predictions, label: int, threshold: float, weights: np.ndarray) -> list[Row]:
    known = said.target[:, label] >= 0
    score, positive = _scores(said, label)
    found = decision_replicates(score >= threshold, positive, said.patient[known], weights)
    return [{"metric": metric, **metric_interval(metric, draws)._asdict()} for metric, draws in found.items()]
