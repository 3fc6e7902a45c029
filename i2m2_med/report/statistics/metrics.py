"""The metrics of one label, for the sample itself and for every bootstrap draw at once.

Two classes: scores are of class 1. More classes: AUROC and average precision are the macro mean of one class against the
rest over the classes that occur; accuracy takes the likeliest class. AUROC and average precision rank on log-odds, for
every paradigm alike. A metric that a sample can't define (one class only) is NaN.

Soft scores (answers by how many annotators gave them) add `soft_accuracy`, the mean score of the class decided on. A target of −2
is none of the classes: whatever is decided is wrong, and has no likelihood. Of many classes only the likeliest are known: AUROC,
average precision and balanced accuracy, which need every class of every sample, are NaN, and the Brier score takes the classes
that are not known to share their mass evenly, which errs by less than the square of their mass. Where the probability of a truth that
came after scoring is not known, decisions are judged, and NLL and Brier score are NaN.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from i2m2_med.predictions import NO_CLASS, UNKNOWN
from i2m2_med.report.statistics.intervals import AT_ONCE
from i2m2_med.report.statistics.ranking import rank_replicates
from i2m2_med.report.statistics.table import Predictions, log_odds

METRICS = ("auroc", "average_precision", "accuracy", "balanced_accuracy", "nll", "brier", "ece")
SOFT = "soft_accuracy"
"""The metric that soft scores add."""
ALL_METRICS = (*METRICS, SOFT)
LOWER_IS_BETTER = ("nll", "brier", "ece")
N_BINS = 15
SMALLEST_P = 1e-12
"""NLL counts a probability of zero as this: one wrong certainty must not make every draw infinite."""

Weights = Float[np.ndarray, "patient draw"]
Draws = Float[np.ndarray, "draw"]


def metric_replicates(
    p: Float[np.ndarray, "sample classes"],
    target: Int[np.ndarray, "sample"],
    patient: Int[np.ndarray, "sample"],
    weights: Weights,
    importance: Float[np.ndarray, "sample"] | None = None,
    *,
    score: Float[np.ndarray, "sample classes"] | None = None,
    left: Int[np.ndarray, "sample"] | None = None,
    hidden: Bool[np.ndarray, "sample"] | None = None,
) -> dict[str, Draws]:
    """Every metric of METRICS per column of `weights`. Samples of unknown target (-1) are left out.

    importance: how much each sample counts, where the population has other class shares (`population.py`); 1 where not given.
    score: soft scores of the classes. left: how many classes are without a place, where only the likeliest have one. hidden: whose
    truth has a probability that is not known.
    """
    known = target >= 0
    soft = {} if score is None else {SOFT: _soft_accuracy(p, target, patient, weights, score)}
    wrong = _all_wrong(target, patient, weights)
    each = np.ones(int(known.sum())) if importance is None else importance[known]
    p, target, patient = p[known], target[known], patient[known]
    if len(p) == 0:
        return {name: np.full(weights.shape[1], np.nan) for name in METRICS} | soft
    metrics = _decisions(p, target, patient, weights, each, wrong) | _probabilities(p, target, patient, weights, each)
    if left is None:
        return _ranking(p, target, patient, weights, each) | metrics | soft
    unknown = {name: np.full(weights.shape[1], np.nan) for name in ("auroc", "average_precision", "balanced_accuracy")}
    even = np.square(1 - p.sum(axis=1)) / np.maximum(left[known], 1)
    sums = weights.T @ _by_patient(np.stack([even * each, each], axis=1), patient, len(weights))
    metrics["brier"] = metrics["brier"] + sums[:, 0] / _positive(sums[:, 1])
    if hidden is not None and hidden[known].any():
        unknown |= {name: np.full(weights.shape[1], np.nan) for name in ("nll", "brier")}
    return metrics | unknown | soft


def metrics_of(
    predictions: Predictions, label: int, weights: Weights, importance: Float[np.ndarray, "sample"] | None = None
) -> dict[str, Draws]:
    """`metric_replicates` of one label of a model; of a great many weights some draws at a time."""
    every = np.ones(len(predictions.p), dtype=bool)
    own = predictions.p[:, label], predictions.target[:, label], predictions.patient
    also = further(predictions, label, every)
    if weights.dtype == np.float64:
        return metric_replicates(*own, weights, importance, **also)
    step = max(1, AT_ONCE // len(weights) // 8)
    starts = range(0, weights.shape[1], step)
    each = [metric_replicates(*own, weights[:, at : at + step].astype(np.float64), importance, **also) for at in starts]
    return {name: np.concatenate([one[name] for one in each]) for name in each[0]}


def further(predictions: Predictions, label: int, rows: Bool[np.ndarray, "sample"]) -> dict[str, Any]:
    """Return what `metric_replicates` has to know of labels with soft scores or many classes, for some samples."""
    score, places = predictions.score, predictions.places
    return {
        "score": None if score is None else score[rows, label],
        "left": None if places is None else places.left[rows, label],
        "hidden": None if places is None else places.hidden[rows, label],
    }


def metric_names(predictions: Predictions) -> tuple[str, ...]:
    """METRICS, and soft accuracy where there are soft scores."""
    return METRICS if predictions.score is None else ALL_METRICS


def point_metrics(p: Float[np.ndarray, "sample classes"], target: Int[np.ndarray, "sample"]) -> dict[str, float]:
    """The metrics of the samples as they are."""
    replicates = metric_replicates(p, target, np.zeros(len(p), dtype=np.int64), np.ones((1, 1)))
    return {name: float(draws[0]) for name, draws in replicates.items()}


def expected_calibration_error(
    p: Float[np.ndarray, "sample classes"],
    target: Int[np.ndarray, "sample"],
    patient: Int[np.ndarray, "sample"],
    weights: Weights,
    importance: Float[np.ndarray, "sample"] | None = None,
) -> Draws:
    """Σ_bins |Σ w (confidence − hit)| / Σ w over 15 bins of equal width.

    Two classes: of the probability of class 1; more: of the likeliest class (Guo et al. 2017).
    """
    each = np.ones(len(p)) if importance is None else importance
    confidence, hit = confidence_and_hit(p, target)
    bins = bin_of(confidence, N_BINS)
    gaps = np.zeros((len(weights), N_BINS))
    np.add.at(gaps, (patient, bins), each * (confidence - hit))
    totals = _by_patient(each[:, None], patient, len(weights))
    return np.abs(weights.T @ gaps).sum(axis=1) / _positive(weights.T @ totals)[:, 0]


def confidence_and_hit(
    p: Float[np.ndarray, "sample classes"], target: Int[np.ndarray, "sample"]
) -> tuple[Float[np.ndarray, "sample"], Float[np.ndarray, "sample"]]:
    """Return what calibration compares: p of class 1 with whether it was, or the top probability with whether it was right."""
    if p.shape[1] == 2:
        return p[:, 1], (target == 1).astype(np.float64)
    return p.max(axis=1), (p.argmax(axis=1) == target).astype(np.float64)


def bin_of(confidence: Float[np.ndarray, "sample"], bins: int) -> Int[np.ndarray, "sample"]:
    """The bin [k/bins, (k+1)/bins) of each value in 0…1; 1 falls into the last."""
    return np.clip((confidence * bins).astype(np.int64), 0, bins - 1)


def _ranking(
    p: np.ndarray, target: np.ndarray, patient: np.ndarray, weights: Weights, importance: np.ndarray
) -> dict[str, Draws]:
    odds = log_odds(p)
    here = np.unique(target)
    ranks = [1] if p.shape[1] == 2 else [int(each) for each in here]
    each = [rank_replicates(odds[:, c], target == c, patient, weights, importance) for c in ranks]
    return {
        "auroc": np.mean([one.auroc for one in each], axis=0),
        "average_precision": np.mean([one.average_precision for one in each], axis=0),
    }


def _soft_accuracy(
    p: np.ndarray, target: np.ndarray, patient: np.ndarray, weights: Weights, score: np.ndarray
) -> Draws:
    """The mean score of the likeliest class, over samples whose target is known, or known to be none of the classes."""
    judged = target != UNKNOWN
    own = np.take_along_axis(score[judged], p[judged].argmax(axis=1)[:, None], axis=1)
    sums = weights.T @ _by_patient(np.concatenate([own, np.ones_like(own)], axis=1), patient[judged], len(weights))
    return sums[:, 0] / _positive(sums[:, 1])


def _all_wrong(target: np.ndarray, patient: np.ndarray, weights: Weights) -> Draws:
    """How many samples, per draw, are of none of the classes."""
    return weights.T @ np.bincount(patient[target == NO_CLASS], minlength=len(weights)).astype(np.float64)


def _decisions(
    p: np.ndarray, target: np.ndarray, patient: np.ndarray, weights: Weights, importance: np.ndarray, wrong: Draws
) -> dict[str, Draws]:
    right = p.argmax(axis=1) == target
    of_class = target[:, None] == np.unique(target)[None, :]
    hits = weights.T @ _by_patient((of_class & right[:, None]) * importance[:, None], patient, len(weights))
    totals = weights.T @ _by_patient(of_class * importance[:, None], patient, len(weights))
    accuracy = hits.sum(axis=1) / _positive(totals.sum(axis=1) + wrong)
    balanced = (hits / _positive(totals)).mean(axis=1) if totals.shape[1] > 1 else np.full(len(totals), np.nan)
    return {"accuracy": accuracy, "balanced_accuracy": balanced}


def _probabilities(
    p: np.ndarray, target: np.ndarray, patient: np.ndarray, weights: Weights, importance: np.ndarray
) -> dict[str, Draws]:
    truth = np.eye(p.shape[1])[target]
    nll = -np.log(np.maximum(p[np.arange(len(p)), target], SMALLEST_P))
    brier = np.square(p - truth).sum(axis=1) / (2 if p.shape[1] == 2 else 1)  # two classes: (p₁ − y)²
    parts = np.stack([nll, brier, np.ones(len(p))], axis=1)
    sums = weights.T @ _by_patient(parts * importance[:, None], patient, len(weights))
    means = sums[:, :2] / _positive(sums[:, 2:])
    ece = expected_calibration_error(p, target, patient, weights, importance)
    return {"nll": means[:, 0], "brier": means[:, 1], "ece": ece}


def _by_patient(values: np.ndarray, patient: np.ndarray, n_patients: int) -> np.ndarray:
    """Sums of the rows (sample, column) of each patient: (patient, column)."""
    columns = [np.bincount(patient, weights=column, minlength=n_patients) for column in values.T.astype(np.float64)]
    return np.stack(columns, axis=1)


def _positive(totals: np.ndarray) -> np.ndarray:
    """Zero weight divides to NaN, silently: the draw does not define the metric."""
    return np.where(totals > 0, totals, np.nan)
