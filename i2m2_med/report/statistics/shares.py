"""Shares of samples (sensitivity, coverage, what came true) with intervals by patient, without resampling.

The error of a share is that of a ratio of two sums over patients (linearised, one cluster per patient); its interval is Clopper and
Pearson's on as many patients as that is worth (`intervals.share_interval`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from i2m2_med.report.statistics.intervals import Interval, share_interval
from i2m2_med.report.statistics.refits import Estimate
from i2m2_med.report.statistics.support import support


class Calls(NamedTuple):
    """Yes/no calls on samples."""

    called: Bool[np.ndarray, "sample"]
    positive: Bool[np.ndarray, "sample"]
    patient: Int[np.ndarray, "sample"]
    importance: Float[np.ndarray, "sample"]


def share_by_patient(
    hit: Float[np.ndarray, "sample"],
    patient: Int[np.ndarray, "sample"],
    importance: Float[np.ndarray, "sample"] | None = None,
    most: float = 1.0,
) -> tuple[Interval, int]:
    """Return the mean of values between 0 and `most` with its interval, and how many patients it is of; NaN without a sample."""
    if len(hit) == 0:
        return Interval(*[float("nan")] * 3), 0
    weight = np.ones(len(hit)) if importance is None else importance
    mean = float(np.average(hit, weights=weight))
    codes = np.unique(patient, return_inverse=True)[1]
    patients = int(codes.max()) + 1
    own = support("accuracy", np.zeros(len(hit), dtype=np.int64), patient, weight)
    if patients < 2:
        return Interval(mean, *(float("nan"),) * 2), patients
    pull = np.bincount(codes, weights=weight * (hit - mean)) / weight.sum()
    error = float(np.sqrt(np.square(pull).sum() * patients / (patients - 1)))
    return share_interval(Estimate(mean, error, own.freedom, False), own, most), patients


def call_intervals(calls: Calls) -> dict[str, tuple[Interval, int]]:
    """Return sensitivity, specificity and predictive values with intervals, and the patients that each is of."""
    called, positive = calls.called, calls.positive
    parts = {
        "sensitivity": (called, positive),
        "specificity": (~called, ~positive),
        "positive_predictive_value": (positive, called),
        "negative_predictive_value": (~positive, ~called),
    }
    return {
        name: share_by_patient(hit[rows].astype(np.float64), calls.patient[rows], calls.importance[rows])
        for name, (hit, rows) in parts.items()
    }
