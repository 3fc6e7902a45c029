"""The calibration error that a perfectly calibrated model would show: bins of few samples are never even.

Labels are drawn from the probabilities themselves, so that only chance is left. A model whose error is within this floor
can't be told from a calibrated one; below the floor's mean it was lucky. The error of a model has no interval of its own: its
sampling error is mostly this bias, which resampling doubles instead of showing.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from i2m2_med.report.statistics.metrics import N_BINS, bin_of
from i2m2_med.report.statistics.table import Predictions

DRAWS = 400
AT_MOST = 4_000_000
"""Samples × draws: of large tables a hundred draws tell the floor well enough."""
CHUNK = 200_000
METRIC = "ece_of_chance"


class Floor(NamedTuple):
    """Expected calibration error under perfect calibration: its mean, and where 95 % of draws lie."""

    value: float
    low: float
    high: float


NO_FLOOR = Floor(*[float("nan")] * 3)


def calibration_floor(
    p: Float[np.ndarray, "sample classes"],
    patient: Int[np.ndarray, "sample"] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    ratio: Float[np.ndarray, "classes"] | None = None,
) -> Floor:
    """Of `expected_calibration_error`, with the same bins.

    patient: samples of one patient are drawn together, right as far as one common number allows each, as if they were
    repeats of one measurement; without, every sample by itself. The truth lies between. ratio: how much a sample of each class
    counts, where p is of a population with other class shares. NaN without a sample.
    """
    if not len(p):
        return NO_FLOOR
    two = p.shape[1] == 2
    confidence, top = (p[:, 1], np.ones(len(p), dtype=np.int64)) if two else (p.max(axis=1), p.argmax(axis=1))
    bins = bin_of(confidence, N_BINS)
    group = np.arange(len(p)) if patient is None else np.unique(patient, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    rounds = max(min(draws, AT_MOST // len(p)), 100)
    steps = None if ratio is None else _steps(p, ratio)
    errors: list[np.ndarray] = []
    at_once = max(1, CHUNK // len(p))
    for start in range(0, rounds, at_once):
        luck = rng.random((min(at_once, rounds - start), int(group.max()) + 1))[:, group]
        if steps is None or ratio is None:
            weight, hit = np.ones(luck.shape), luck < confidence
        else:
            drawn = (luck[:, :, None] > steps).sum(axis=2)
            weight, hit = ratio[drawn], drawn == top
        place = bins + N_BINS * np.arange(len(luck))[:, None]
        gaps = np.bincount(place.ravel(), (weight * (confidence - hit)).ravel(), minlength=N_BINS * len(luck))
        errors.append(np.abs(gaps.reshape(-1, N_BINS)).sum(axis=1) / weight.sum(axis=1))
    every = np.concatenate(errors)
    return Floor(float(every.mean()), *(float(end) for end in np.quantile(every, (0.025, 0.975))))


def chance_of(
    predictions: Predictions, label: int, importance: Float[np.ndarray, "sample"] | None, seed: int = 0
) -> Floor:
    """Return the error that one model of one label would show by chance: samples drawn one by one, the upper end as with repeats of a patient."""
    known = predictions.answered & (predictions.target[:, label] >= 0)
    p, patient = predictions.p[known, label], predictions.patient[known]
    ratio = (
        None
        if importance is None
        else _ratio(importance[known], predictions.target[known, label], len(predictions.classes))
    )
    alone = calibration_floor(p, seed=seed, ratio=ratio)
    if len(np.unique(patient)) == len(patient):
        return alone
    return Floor(alone.value, alone.low, max(calibration_floor(p, patient, seed=seed, ratio=ratio).high, alone.high))


def mean_floor(floors: list[Floor]) -> Floor:
    """Over labels or seeds, those without samples left out."""
    known = [floor for floor in floors if np.isfinite(floor.value)]
    return Floor(*np.mean(known, axis=0).tolist()) if known else NO_FLOOR


def _ratio(importance: np.ndarray, target: np.ndarray, classes: int) -> np.ndarray:
    counts = np.bincount(target, minlength=classes)
    return np.bincount(target, weights=importance, minlength=classes) / np.maximum(counts, 1)


def _steps(p: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Cumulated probabilities (all but the last) among these samples, whose classes are as frequent as they are here."""
    here = np.divide(p, ratio, out=np.zeros_like(p), where=ratio > 0)
    return (here / here.sum(axis=1, keepdims=True)).cumsum(axis=1)[:, :-1]
