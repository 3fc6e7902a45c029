"""How calibrated probabilities are, beyond their error: slope, intercept, and what deciding by them is worth."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.special import expit

from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.intervals import interval
from i2m2_med.report.statistics.paired_predictions import Cohort
from i2m2_med.report.statistics.table import Predictions, log_odds

FURTHEST = 30.0
"""Log-odds are cut here: a probability of exactly one has none."""
ROUNDS = 50
THRESHOLDS = np.round(np.arange(0.02, 0.99, 0.02), 2)


class Line(NamedTuple):
    """log-odds of the truth = intercept + slope · log-odds given, with standard errors clustered by patient."""

    intercept: float
    slope: float
    intercept_error: float
    slope_error: float


def calibration_line(
    score: Float[np.ndarray, "sample"], positive: Bool[np.ndarray, "sample"], patient: Int[np.ndarray, "sample"]
) -> Line:
    """Logistic regression of the truth on the log-odds (Cox 1958): 0 and 1 are perfect, slope < 1 is overconfident.

    NaN where one class occurs or the scores are all the same.
    """
    score = np.clip(score, -FURTHEST, FURTHEST)
    if positive.all() or not positive.any() or np.ptp(score) == 0:
        return Line(*[float("nan")] * 4)
    design = np.stack([np.ones(len(score)), score], axis=1)
    at, curvature = np.zeros(2), np.eye(2)
    for _ in range(ROUNDS):
        chance = expit(design @ at)
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, design.T @ (positive - chance))
        at += np.clip(step, -5.0, 5.0)
        if np.abs(step).max() < 1e-10:
            break
    errors = _clustered_errors(design, positive - expit(design @ at), curvature, patient)
    return Line(float(at[0]), float(at[1]), *errors)


def calibration_table(cohort: Cohort) -> pd.DataFrame:
    """Intercept and slope with 95 % intervals per model and label; two classes only (class 1)."""
    rows: list[Row] = []
    if len(cohort.first.classes) != 2:
        return pd.DataFrame(rows)
    for (paradigm, seed), said in cohort.models.items():
        for at, label in enumerate(said.labels):
            score, positive, patient = _scores(said, at)
            line = calibration_line(score, positive, patient)
            head = {"paradigm": paradigm, "seed": seed, "label": label}
            for name, value, error in (("intercept", line[0], line[2]), ("slope", line[1], line[3])):
                reach = 1.96 * error
                rows.append(head | {"metric": name, "value": value, "low": value - reach, "high": value + reach})
    return pd.DataFrame(rows)


def decision_curve(cohort: Cohort, weights: Float[np.ndarray, "patient draw"]) -> pd.DataFrame:
    """Net benefit (Vickers and Elkin 2006) per threshold, model and label, and that of treating all; treating none is 0.

    At threshold t: (true positives − false positives · t / (1 − t)) / samples. Two classes only.
    """
    rows: list[Row] = []
    if len(cohort.first.classes) != 2:
        return pd.DataFrame(rows)
    for (paradigm, _), said in cohort.models.items():
        for at, label in enumerate(said.labels):
            rows += [{"paradigm": paradigm, "label": label, **row} for row in _benefits(said, at, weights)]
    for at, label in enumerate(cohort.first.labels):
        known = cohort.first.target[:, at] >= 0
        share = float((cohort.first.target[known, at] == 1).mean()) if known.any() else float("nan")
        benefit = share - (1 - share) * THRESHOLDS / (1 - THRESHOLDS)
        rows += [
            {"paradigm": "treat all", "label": label, "threshold": t, "value": b}
            for t, b in zip(THRESHOLDS, benefit, strict=True)
        ]
    return pd.DataFrame(rows)


def _benefits(said: Predictions, label: int, weights: np.ndarray) -> list[Row]:
    known = said.target[:, label] >= 0
    p, positive, patient = said.p[known, label, 1], said.target[known, label] == 1, said.patient[known]
    total = np.bincount(patient, minlength=len(weights)) @ weights
    rows: list[Row] = []
    for threshold in THRESHOLDS:
        gain = np.where(positive, 1.0, -threshold / (1 - threshold)) * (p >= threshold)
        found = interval(
            np.bincount(patient, weights=gain, minlength=len(weights)) @ weights / np.where(total > 0, total, np.nan)
        )
        rows.append({"threshold": float(threshold), **found._asdict()})
    return rows


def _scores(said: Predictions, label: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    known = said.target[:, label] >= 0
    return log_odds(said.p[known, label])[:, 1], said.target[known, label] == 1, said.patient[known]


def _clustered_errors(
    design: np.ndarray, residual: np.ndarray, curvature: np.ndarray, patient: np.ndarray
) -> tuple[float, float]:
    """Sandwich standard errors with one cluster per patient."""
    codes = np.unique(patient, return_inverse=True)[1]
    pull = np.stack([np.bincount(codes, weights=column * residual) for column in design.T], axis=1)
    bread = np.linalg.inv(curvature)
    covariance = bread @ (pull.T @ pull) @ bread
    return float(np.sqrt(covariance[0, 0])), float(np.sqrt(covariance[1, 1]))
