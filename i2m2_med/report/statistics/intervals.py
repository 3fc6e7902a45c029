"""95 % intervals: a bootstrap that resamples patients gives the error, the kind of statistic the shape.

Slices of one patient are alike, so the patient is what is drawn. The weights are drawn once and used for every model,
label and metric, so that differences are paired. Several refits (seeds) add the randomness of training (`refits.py`).

share       Clopper and Pearson's interval on as many patients as the error is worth (Korn and Graubard 1998): it holds at least
            95 %, and is never of zero width. At 0 and 1 the error says nothing: the number of patients does.
AUROC       of one sample per patient Newcombe's score interval (2006, method 5); of patients with several samples Clopper and
            Pearson's on as many pairs as the error is worth (effective sample size, Obuchowski 1997; Korn and Graubard 1998), since
            the design effect is estimated from few patients; at 0 and 1 Newcombe's on patients' numbers alone.
positive    Student's t in the logarithm, for what can't be negative.
difference  Student's t with the law's degrees of freedom, inside [−1, 1] where both are shares.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import special
from scipy.optimize import root_scalar

from i2m2_med.report.statistics.refits import LEVEL, Estimate, contrast, of_draws, quantile
from i2m2_med.report.statistics.support import Support

REPLICATES = 2000
POSITIVE = ("nll", "brier", "divergence")
"""Metrics that can't be negative and have no upper end."""
WITHOUT = ("ece",)
"""Metrics whose sampling error is mostly bias: they have no interval, but what chance alone would give beside them."""
EDGE = 1e-12
TINY = 1e-9


class Interval(NamedTuple):
    """A value and its interval; NaN where none is defined."""

    value: float
    low: float
    high: float


AT_ONCE = 100_000_000
"""Weights (patients × draws) that are held and multiplied in float64; more are held in float16, and multiplied some draws at a time."""


def draw_weights(n_patients: int, replicates: int = REPLICATES, seed: int = 0) -> Float[np.ndarray, "patient draw"]:
    """Return how often each patient is drawn. Column 0 is the sample itself (all ones), the others are replicates.

    One patient fewer than there are is drawn: then the replicates spread as samples do, not (n − 1)/n times as much (Hesterberg
    2015). One patient can't be resampled: there are no replicates then, and every interval is NaN.
    """
    itself = np.ones((n_patients, 1))
    if n_patients < 2:
        return itself
    numbers, shares = np.random.default_rng(seed), np.full(n_patients, 1 / n_patients)
    if n_patients * replicates <= AT_ONCE:
        drawn = numbers.multinomial(n_patients - 1, shares, replicates)
        return np.concatenate([itself, drawn.T], axis=1)
    weights = np.ones((n_patients, replicates + 1), dtype=np.float16)  # exact: whole numbers far below 2,048
    for draw in range(1, replicates + 1):
        weights[:, draw] = numbers.multinomial(n_patients - 1, shares)
    return weights


def draw_without(
    folds: Sequence[int], fold: Int[np.ndarray, "sample"], patient: Int[np.ndarray, "sample"]
) -> Float[np.ndarray, "patient fold"]:
    """Return weights that leave out the patients of each of `folds` in turn. fold, patient: of each sample."""
    of_patient = np.full(int(patient.max()) + 1, -1)
    of_patient[patient] = fold
    return (of_patient[:, None] != np.array(folds, dtype=np.int64)[None]).astype(np.float64)


def metric_interval(metric: str, draws: Float[np.ndarray, "*refit draw"], support: Support, folds: int = 0) -> Interval:
    """Return the interval of a metric by its name, or of its mean over refits. folds: as of `refits.of_draws`."""
    estimate = contrast([(1.0, of_draws(np.atleast_2d(draws), folds))], support.freedom)
    if metric in WITHOUT:
        return Interval(estimate.value, float("nan"), float("nan"))
    if metric in POSITIVE:
        return positive_interval(estimate)
    return auroc_interval(estimate, support) if metric == "auroc" else share_interval(estimate, support)


def share_interval(estimate: Estimate, support: Support, most: float = 1.0) -> Interval:
    """Return Clopper and Pearson's interval of a mean of values between 0 and `most`, on effective patients.

    Their number is p (1 − p) / error² (the error that of n, not n − 1), at most one for each sample, less as few patients tell the
    error badly (the squared ratio of t quantiles of samples and of patients); where p is 0 or 1 it is the number of patients.
    """
    if not np.isfinite(estimate.value) or not np.isfinite(estimate.error) or support.size <= 0:
        return Interval(estimate.value, float("nan"), float("nan"))
    share = min(max(estimate.value / most, 0.0), 1.0)
    size = support.size
    if EDGE < share < 1 - EDGE:
        few = (quantile(support.most - 1) / estimate.multiple) ** 2
        variance = (estimate.error / most) ** 2 * (1 - 1 / max(size, 2.0))
        size = max(few * min(share * (1 - share) / max(variance, EDGE), support.most), TINY)
    low, high = clopper_pearson(share * size, size)
    return Interval(estimate.value, min(low * most, estimate.value), max(high * most, estimate.value))


def clopper_pearson(hits: float, size: float, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact interval of a share; counts need not be whole.

    >>> [round(end, 3) for end in clopper_pearson(6, 6)]
    [0.541, 1.0]
    """
    tail = (1 - level) / 2
    low = 0.0 if hits <= TINY else float(special.betaincinv(hits, size - hits + 1, tail))
    high = 1.0 if size - hits <= TINY else float(special.betaincinv(hits + 1, size - hits, 1 - tail))
    return low, high


def auroc_interval(estimate: Estimate, support: Support) -> Interval:
    """Return Newcombe's interval where every sample is a patient of its own or the AUROC is 0 or 1, else that of effective pairs."""
    if not np.isfinite(estimate.value) or not np.isfinite(estimate.error) or len(support.patients) < 2:
        return Interval(estimate.value, float("nan"), float("nan"))
    alike = any(many > few for many, few in zip(support.samples, support.patients, strict=True))
    if alike and EDGE < estimate.value < 1 - EDGE:
        return _interval_of_pairs(estimate, support)
    return _newcombe_interval(estimate, support)


def _interval_of_pairs(estimate: Estimate, support: Support) -> Interval:
    """Clopper and Pearson's interval of AUROC · n won of n = AUROC (1 − AUROC) / error² pairs, less as few patients tell the error badly.

    error²: at least what single samples would give, times (k / (k − 1))² of the k patients of the rarer class, by which a jackknife
    over patients exceeds the linearised error: an AUROC that came out too high brings too small an error with it. One patient of a
    class leaves [0, 1].
    """
    fewest, value = min(support.patients), estimate.value
    if fewest <= 1:
        return Interval(value, 0.0, 1.0)
    variance = max(estimate.error**2, auroc_variance(value, support.samples)) * (fewest / (fewest - 1)) ** 2
    few = (quantile(np.inf) / estimate.multiple) ** 2
    pairs = max(few * value * (1 - value) / variance, TINY)
    low, high = clopper_pearson(value * pairs, pairs)
    return Interval(value, min(low, value), max(high, value))


def _newcombe_interval(estimate: Estimate, support: Support) -> Interval:
    """The range of θ with |θ − AUROC| ≤ t √(deff · V(θ)), V of exponential scores (Newcombe 2006, method 5) on patients.

    deff: the error's square over V at the AUROC found, at least what single samples would give; 1 where the AUROC is 0 or 1.
    """
    effect = 1.0
    if EDGE < estimate.value < 1 - EDGE:
        least = auroc_variance(estimate.value, support.samples)
        effect = max(estimate.error**2, least) / auroc_variance(estimate.value, support.patients)
    reach = (estimate.multiple if estimate.repeated else quantile(np.inf)) ** 2 * effect

    def outside(theta: float) -> float:
        return (theta - estimate.value) ** 2 - reach * auroc_variance(theta, support.patients)

    inside = min(max(estimate.value, TINY), 1 - TINY)
    low = float(root_scalar(outside, bracket=(0.0, inside)).root) if outside(0.0) > 0 else 0.0
    high = float(root_scalar(outside, bracket=(inside, 1.0)).root) if outside(1.0) > 0 else 1.0
    return Interval(estimate.value, low, high)


def auroc_variance(theta: float, counts: tuple[float, ...]) -> float:
    """Variance of an AUROC of exponential scores on so many positives and negatives, both numbers evened out."""
    positives, negatives = counts
    even = (positives + negatives) / 2 - 1
    parts = 1 + even * (1 - theta) / (2 - theta) + even * theta / (1 + theta)
    return theta * (1 - theta) * parts / (positives * negatives)


def positive_interval(estimate: Estimate) -> Interval:
    """Return Student's t interval in the logarithm. A value of zero has none."""
    if not np.isfinite(estimate.error) or not estimate.value > 0:
        return Interval(estimate.value, float("nan"), float("nan"))
    factor = float(np.exp(estimate.reach / estimate.value))
    return Interval(estimate.value, estimate.value / factor, estimate.value * factor)


def difference_interval(metric: str, estimate: Estimate, support: Support) -> Interval:
    """Return the interval of a difference between two models or groups. Where no patient makes any, shares still may differ in those not seen."""
    if not np.isfinite(estimate.value) or not np.isfinite(estimate.error) or metric in WITHOUT:
        return Interval(estimate.value, float("nan"), float("nan"))
    if metric in POSITIVE:
        return Interval(estimate.value, estimate.value - estimate.reach, estimate.value + estimate.reach)
    reach = estimate.reach if estimate.error > EDGE else clopper_pearson(0.0, support.size)[1]
    return Interval(estimate.value, max(estimate.value - reach, -1.0), min(estimate.value + reach, 1.0))


def smallest_p(patients: float) -> float:
    """Return the least two-sided p that a sample can give: all of its patients lean to one side, of 2ⁿ ways to lean."""
    return float(min(1.0, 2.0 ** (1.0 - patients)))
