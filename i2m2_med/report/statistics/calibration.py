"""How calibrated probabilities are, beyond their error: slope, intercept, on average, and what deciding by them is worth."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.special import expit

from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.paired_predictions import PairedPredictions
from i2m2_med.report.statistics.refits import contrast, of_draws, quantile
from i2m2_med.report.statistics.support import support
from i2m2_med.report.statistics.table import Predictions, log_odds

FURTHEST = 30.0
"""Log-odds are cut here: a probability of exactly one has none."""
ROUNDS = 50
THRESHOLDS = np.round(np.arange(0.02, 0.99, 0.02), 2)


NOT_ESTIMABLE = "not estimable: the scores separate the classes"


class Line(NamedTuple):
    """log-odds of the truth = intercept + slope · log-odds given, with standard errors clustered by patient."""

    intercept: float
    slope: float
    intercept_error: float
    slope_error: float


class InTheLarge(NamedTuple):
    """Whether the probabilities are right on average."""

    offset: float
    """Log-odds to be added to all for the mean to be right (slope held at 1); 0 is perfect."""
    offset_error: float
    expected: float
    """Σ p over samples."""
    observed: float
    """Positives among them."""
    ratio_error: float
    """Standard error of log(observed / expected)."""


NO_LINE = Line(*[float("nan")] * 4)


def calibration_line(
    score: Float[np.ndarray, "sample"],
    positive: Bool[np.ndarray, "sample"],
    patient: Int[np.ndarray, "sample"],
    importance: Float[np.ndarray, "sample"] | None = None,
) -> Line:
    """Logistic regression of the truth on the log-odds (Cox 1958): 0 and 1 are perfect, slope < 1 is overconfident.

    NaN where one class occurs, the scores are all the same, or they separate the classes (the slope is infinite then).
    """
    score = np.clip(score, -FURTHEST, FURTHEST)
    if positive.all() or not positive.any() or np.ptp(score) == 0 or separated(score, positive):
        return NO_LINE
    design = np.stack([np.ones(len(score)), score], axis=1)
    weight = np.ones(len(score)) if importance is None else importance
    at, covariance = _logistic(design, np.zeros(len(score)), positive, weight, patient)
    return Line(float(at[0]), float(at[1]), float(np.sqrt(covariance[0, 0])), float(np.sqrt(covariance[1, 1])))


def separated(score: Float[np.ndarray, "sample"], positive: Bool[np.ndarray, "sample"]) -> bool:
    """Return whether a threshold tells the classes apart without an error (one score may be shared)."""
    return bool(score[positive].min() >= score[~positive].max() or score[positive].max() <= score[~positive].min())


def in_the_large(
    score: Float[np.ndarray, "sample"],
    positive: Bool[np.ndarray, "sample"],
    patient: Int[np.ndarray, "sample"],
    importance: Float[np.ndarray, "sample"] | None = None,
) -> InTheLarge:
    """Calibration-in-the-large and the ratio of observed to expected positives; NaN where one class occurs."""
    score = np.clip(score, -FURTHEST, FURTHEST)
    weight = np.ones(len(score)) if importance is None else importance
    if positive.all() or not positive.any():
        return InTheLarge(*[float("nan")] * 5)
    at, covariance = _logistic(np.ones((len(score), 1)), score, positive, weight, patient)
    chance = expit(score)
    expected, observed = float(weight @ chance), float(weight @ positive)
    codes = np.unique(patient, return_inverse=True)[1]
    pull = np.bincount(codes, weights=weight * (positive / observed - chance / expected))
    clusters = len(pull)
    error = float(np.sqrt(np.square(pull).sum() * clusters / max(clusters - 1, 1)))
    return InTheLarge(float(at[0]), float(np.sqrt(covariance[0, 0])), expected, observed, error)


def calibration_table(cohort: PairedPredictions) -> pd.DataFrame:
    """Intercept, slope, calibration-in-the-large and observed/expected ratio with 95 % intervals per model and label.

    Two classes only (class 1). Intervals are Student's t, with Welch's degrees of freedom of as many patients with and without the finding.
    """
    rows: list[Row] = []
    if len(cohort.first.classes) != 2:
        return pd.DataFrame(rows)
    for (paradigm, seed), predictions in cohort.models.items():
        for at, label in enumerate(predictions.labels):
            head = {"paradigm": paradigm, "seed": seed, "label": label}
            rows += [head | row for row in _calibration_rows(*_scores(predictions, at), _known(cohort, at))]
    return pd.DataFrame(rows)


def _calibration_rows(
    score: np.ndarray, positive: np.ndarray, patient: np.ndarray, importance: np.ndarray | None
) -> list[Row]:
    line = calibration_line(score, positive, patient, importance)
    large = in_the_large(score, positive, patient, importance)
    two = bool(positive.any() and not positive.all())
    remark = NOT_ESTIMABLE if two and separated(score, positive) else ""
    reach = quantile(support("auroc", positive.astype(np.int64), patient, importance).freedom)
    parts = {
        "intercept": (line.intercept, line.intercept_error, remark),
        "slope": (line.slope, line.slope_error, remark),
        "calibration-in-the-large": (large.offset, large.offset_error, ""),
    }
    rows: list[Row] = [
        {"metric": name, "value": value, "low": value - reach * error, "high": value + reach * error, "remark": word}
        for name, (value, error, word) in parts.items()
    ]
    ratio = large.observed / large.expected if two else float("nan")
    factor = float(np.exp(reach * large.ratio_error)) if two else float("nan")
    ends = {"low": ratio / factor, "high": ratio * factor}
    remark = f"{large.observed:.4g} observed, {large.expected:.4g} expected" if two else ""
    return [*rows, {"metric": "observed / expected", "value": ratio, **ends, "remark": remark}]


def decision_curve(cohort: PairedPredictions, weights: Float[np.ndarray, "patient draw"]) -> pd.DataFrame:
    """Net benefit (Vickers and Elkin 2006) per threshold, model and label, and that of treating all; treating none is 0.

    At threshold t: (true positives − false positives · t / (1 − t)) / samples. Two classes only.
    """
    rows: list[Row] = []
    if len(cohort.first.classes) != 2:
        return pd.DataFrame(rows)
    for (paradigm, _), predictions in cohort.models.items():
        for at, label in enumerate(predictions.labels):
            made = _benefits(predictions, at, weights, _known(cohort, at))
            rows += [{"paradigm": paradigm, "label": label, **row} for row in made]
    for at, label in enumerate(cohort.first.labels):
        known = cohort.first.target[:, at] >= 0
        weight = _known(cohort, at)
        hits = cohort.first.target[known, at] == 1
        share = float(np.average(hits, weights=weight)) if known.any() else float("nan")
        benefit = share - (1 - share) * THRESHOLDS / (1 - THRESHOLDS)
        rows += [
            {"paradigm": "treat all", "label": label, "threshold": t, "value": b}
            for t, b in zip(THRESHOLDS, benefit, strict=True)
        ]
    return pd.DataFrame(rows)


def _benefits(predictions: Predictions, label: int, weights: np.ndarray, importance: np.ndarray | None) -> list[Row]:
    known = predictions.target[:, label] >= 0
    p, positive, patient = (
        predictions.p[known, label, 1],
        predictions.target[known, label] == 1,
        predictions.patient[known],
    )
    each = np.ones(len(p)) if importance is None else importance
    total = np.bincount(patient, weights=each, minlength=len(weights)) @ weights
    freedom = float(max(len(np.unique(patient)) - 1, 1))
    rows: list[Row] = []
    for threshold in THRESHOLDS:
        gain = each * np.where(positive, 1.0, -threshold / (1 - threshold)) * (p >= threshold)
        sums = np.bincount(patient, weights=gain, minlength=len(weights)) @ weights
        estimate = contrast([(1.0, of_draws((sums / np.where(total > 0, total, np.nan))[None]))], freedom)
        ends = {"low": estimate.value - estimate.reach, "high": estimate.value + estimate.reach}
        rows.append({"threshold": float(threshold), "value": estimate.value, **ends})
    return rows


def _known(cohort: PairedPredictions, label: int) -> np.ndarray | None:
    """Return the importance of each sample of known target; None: one each."""
    counts = cohort.counts_for(label)
    return None if counts is None else counts[cohort.first.target[:, label] >= 0]


def _scores(predictions: Predictions, label: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    known = predictions.target[:, label] >= 0
    return (
        log_odds(predictions.p[known, label])[:, 1],
        predictions.target[known, label] == 1,
        predictions.patient[known],
    )


def _logistic(
    design: np.ndarray, offset: np.ndarray, positive: np.ndarray, weight: np.ndarray, patient: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of a logistic regression, and their covariance by patient (`_clustered`)."""
    at, curvature = np.zeros(design.shape[1]), np.eye(design.shape[1])
    for _ in range(ROUNDS):
        chance = expit(design @ at + offset)
        curvature = (design * (weight * chance * (1 - chance))[:, None]).T @ design + 1e-9 * np.eye(len(at))
        step = np.linalg.solve(curvature, design.T @ (weight * (positive - chance)))
        at += np.clip(step, -5.0, 5.0)
        if np.abs(step).max() < 1e-10:
            break
    chance = expit(design @ at + offset)
    return at, _clustered(design, weight * (positive - chance), weight * chance * (1 - chance), curvature, patient)


def _clustered(
    design: np.ndarray, residual: np.ndarray, variance: np.ndarray, curvature: np.ndarray, patient: np.ndarray
) -> np.ndarray:
    """Sandwich covariance with one cluster per patient, each patient's residuals freed of its own pull on the fit.

    Mancl and DeRouen (2001): residuals r become (I − H)⁻¹ r with H the patient's leverage. Here Xᵀ (I − H)⁻¹ r is written
    (I − Xᵀ W X B)⁻¹ Xᵀ r, so that only as many rows as there are coefficients are solved for each patient.
    """
    codes = np.unique(patient, return_inverse=True)[1]
    bread = np.linalg.inv(curvature)
    pull = np.stack([np.bincount(codes, weights=column * residual) for column in design.T], axis=1)
    products = design[:, :, None] * design[:, None, :] * variance[:, None, None]
    own = np.zeros((len(pull), *products.shape[1:]))
    np.add.at(own, codes, products)
    leverage = np.eye(len(bread)) - own @ bread
    freed = np.linalg.solve(leverage, pull[:, :, None])[:, :, 0] if len(pull) > 1 else pull
    return bread @ (freed.T @ freed) @ bread
