"""Paired tests between two models on the same patients: DeLong for AUROC, McNemar for accuracy, Holm over many.

DeLong's AUROC is a mean of one placement per patient, so its variance is a sum of squared influences, and means over
seeds, classes or labels and differences between models are the same means and differences of influences.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats


class Influence(NamedTuple):
    """A statistic and what each patient adds to its error: the variance is the sum of squares of `each`."""

    value: float
    each: Float[np.ndarray, "patient"]

    @property
    def deviation(self) -> float:
        """Standard error."""
        return float(np.sqrt(np.square(self.each).sum()))


def mean_influence(parts: list[Influence]) -> Influence:
    """The mean of statistics of the same patients (over seeds, or classes)."""
    return Influence(float(np.mean([part.value for part in parts])), np.mean([part.each for part in parts], axis=0))


def delong(score: Float[np.ndarray, "patient"], positive: Bool[np.ndarray, "patient"]) -> Influence:
    """AUROC with DeLong's variance (DeLong et al. 1988; mid-ranks as Sun & Xu 2014). NaN for one class only."""
    hits, rest = int(positive.sum()), int((~positive).sum())
    if hits == 0 or rest == 0:
        return Influence(float("nan"), np.full(len(score), np.nan))
    every = stats.rankdata(score)
    placement = np.empty(len(score))
    placement[positive] = (every[positive] - stats.rankdata(score[positive])) / rest
    placement[~positive] = 1 - (every[~positive] - stats.rankdata(score[~positive])) / hits
    auroc = float(placement[positive].mean())
    size = np.where(positive, hits, rest).astype(np.float64)
    return Influence(auroc, (placement - auroc) / np.sqrt(np.maximum(size * (size - 1), 1)))


def patient_scores(
    score: Float[np.ndarray, "sample"], positive: Bool[np.ndarray, "sample"], patient: Int[np.ndarray, "sample"]
) -> tuple[Float[np.ndarray, "patient"], Bool[np.ndarray, "patient"]]:
    """A patient's highest score, and whether any of its samples is positive."""
    _, code = np.unique(patient, return_inverse=True)
    highest = np.full(code.max() + 1, -np.inf)
    np.maximum.at(highest, code, score)
    return highest, np.bincount(code, weights=positive) > 0


def mcnemar(
    right: Bool[np.ndarray, "sample"] | Int[np.ndarray, "sample"],
    right_other: Bool[np.ndarray, "sample"] | Int[np.ndarray, "sample"],
    patient: Int[np.ndarray, "sample"],
) -> float:
    """Exact p that two models are right equally often, by swapping the models within whole patients.

    Patients of one sample each: McNemar's exact test. Several samples: its form for clustered pairs (the sign of each
    patient's difference is fair under the null). `right` may count hits over seeds.
    """
    difference = np.bincount(patient, weights=right.astype(np.float64) - right_other.astype(np.float64))
    steps = np.abs(difference[difference != 0]).astype(np.int64)
    if len(steps) == 0:
        return 1.0
    chances = np.ones(1)  # of every reachable sum, centred; each patient steps up or down
    for step in steps:
        chances = (np.pad(chances, (2 * step, 0)) + np.pad(chances, (0, 2 * step))) / 2
    sums = np.arange(len(chances)) - len(chances) // 2
    return float(min(1.0, chances[np.abs(sums) >= abs(int(difference.sum()))].sum()))


def holm(p: Float[np.ndarray, "test"]) -> Float[np.ndarray, "test"]:
    """Holm's step-down adjustment over all that are defined; NaN stays NaN."""
    adjusted = np.full(len(p), np.nan)
    order = [int(each) for each in np.argsort(p) if np.isfinite(p[each])]
    floor = 0.0
    for rank, test in enumerate(order):
        floor = max(floor, min(1.0, float(p[test]) * (len(order) - rank)))
        adjusted[test] = floor
    return adjusted
