"""Operating points: thresholds chosen on validation samples, then applied as they are.

A sample is called positive when its log-odds reach the threshold (`>=`, as the ROC counts). The threshold that reaches 0.90 on
validation reaches less elsewhere (0.82 to 0.88 with 5 to 50 positives): it was fitted to them. So it is the ⌈0.9 (n + 1)⌉-th of n
positive patients, which a new one exceeds with a chance of at least 0.90 (`quantiles.py`). Deployed decisions use the same rule.
A cross-validation has a threshold per fold, from the fold's own validation; the table names their mean.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from i2m2_med.quantiles import quantile_by_patient
from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.paired_predictions import PairedPredictions
from i2m2_med.report.statistics.shares import Calls, call_intervals
from i2m2_med.report.statistics.table import Predictions, log_odds

SPECIFICITY = 0.90
COLUMNS = ["paradigm", "seed", "label", "chosen for", "threshold", "metric", "value", "low", "high", "patients"]


def choose_threshold(
    score: Float[np.ndarray, "sample"],
    positive: Bool[np.ndarray, "sample"],
    patient: Int[np.ndarray, "sample"],
    want: str,
    least: float,
) -> float:
    """The threshold that keeps `want` (sensitivity or specificity) of a new patient at `least` and gives the other the most.

    NaN where the samples hold one class only, or too few patients of the class: ⌈least / (1 − least)⌉ are needed.
    """
    if positive.all() or not positive.any():
        return float("nan")
    if want == "sensitivity":
        limit = quantile_by_patient(-score[positive], patient[positive], 1 - least)
        return float("nan") if limit is None else -limit
    limit = quantile_by_patient(score[~positive], patient[~positive], 1 - least)
    if limit is None:
        return float("nan")
    above = score[score > limit]
    return float(above.min()) if len(above) else float(np.inf)


def patients_needed(least: float) -> int:
    """Patients of a class without whom no threshold can promise `least`.

    >>> patients_needed(0.9)
    9
    """
    return int(np.ceil(least / (1 - least) - 1e-9))


def operating_points(
    every: PairedPredictions, common: PairedPredictions, sensitivity: float
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
    notes: dict[str, None] = {}
    for (paradigm, seed), predictions in common.models.items():
        chosen = valid.models[paradigm, seed]
        chosen = chosen.take(chosen.answered)
        for at, label in enumerate(predictions.labels):
            for want, least in (("sensitivity", sensitivity), ("specificity", SPECIFICITY)):
                choose = partial(_threshold, label=at, want=want, least=least)
                thresholds, undefined = by_fold(chosen, predictions, choose)
                if undefined:
                    notes |= {_why_none(part, at, want, least, fold): None for fold, part in undefined.items()}
                    continue
                head: Row = {"paradigm": paradigm, "seed": seed, "label": label, "threshold": thresholds.mean()}
                head["chosen for"] = f"{want} ≥ {least:g}"
                rows += [head | row for row in _apply(predictions, at, thresholds, common.counts_for(at))]
    return pd.DataFrame(rows, columns=COLUMNS), list(notes)


def by_fold(
    valid: Predictions, judged: Predictions, choose: Callable[[Predictions], float]
) -> tuple[Float[np.ndarray, "sample"], dict[int, Predictions]]:
    """The threshold of each judged sample, which `choose` makes of validation samples (of a cross-validation, those of the same
    fold), and the validation samples by fold where it is NaN."""
    parts = {fold: valid.take(valid.fold == fold) for fold in np.unique(judged.fold).tolist()}
    chosen = {fold: choose(part) for fold, part in parts.items()}
    undefined = {fold: part for fold, part in parts.items() if np.isnan(chosen[fold])}
    return np.array([chosen[fold] for fold in judged.fold.tolist()], dtype=np.float64), undefined


def _threshold(valid: Predictions, label: int, want: str, least: float) -> float:
    return choose_threshold(*_scores(valid, label), want, least)


def _why_none(valid: Predictions, label: int, want: str, least: float, fold: int) -> str:
    name, (_, positive, patient) = valid.labels[label], _scores(valid, label)
    where = "validation" if fold < 0 else f"the validation of fold {fold}"
    kind, rows = ("positive", positive) if want == "sensitivity" else ("negative", ~positive)
    there = len(np.unique(patient[rows]))
    if positive.all() or not positive.any():
        return f"no operating point for {name}: {where} holds one class only."
    return (
        f"no operating point for {want} ≥ {least:g} of {name}: it takes {patients_needed(least)} {kind} patients of {where}, "
        f"which has {there}."
    )


def _scores(predictions: Predictions, label: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    known = predictions.target[:, label] >= 0
    return (
        log_odds(predictions.p[known, label])[:, 1],
        predictions.target[known, label] == 1,
        predictions.patient[known],
    )


def _apply(
    predictions: Predictions, label: int, thresholds: Float[np.ndarray, "sample"], importance: np.ndarray | None
) -> list[Row]:
    known = predictions.target[:, label] >= 0
    score, positive, patient = _scores(predictions, label)
    weight = np.ones(len(score)) if importance is None else importance[known]
    made = call_intervals(Calls(score >= thresholds[known], positive, patient, weight))
    return [
        {"metric": metric, "patients": patients, **estimate._asdict()} for metric, (estimate, patients) in made.items()
    ]
