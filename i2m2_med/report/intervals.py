"""Sampling error: a bootstrap that resamples patients, and the intervals it gives.

Slices of one patient are alike, so the patient is what is drawn. The weights are drawn once and used for every model,
label and metric, so that differences are paired.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

REPLICATES = 2000
LEVEL = 0.95


class Interval(NamedTuple):
    """A value and its percentile interval over the draws that define it; NaN where none does."""

    value: float
    low: float
    high: float


def draw_weights(n_patients: int, replicates: int = REPLICATES, seed: int = 0) -> Float[np.ndarray, "patient draw"]:
    """How often each patient is drawn. Column 0 is the sample itself (all ones), the others are replicates.

    One patient can't be resampled: there are no replicates then, and every interval is NaN.
    """
    itself = np.ones((n_patients, 1))
    if n_patients < 2:
        return itself
    drawn = np.random.default_rng(seed).multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=replicates)
    return np.concatenate([itself, drawn.T], axis=1)


def interval(draws: Float[np.ndarray, "draw"], level: float = LEVEL, centred: bool = False) -> Interval:
    """Of one statistic: draws[0] is its value, the others its replicates.

    centred: take out the bias of the replicates (expected calibration error grows under resampling).
    """
    value, replicates = float(draws[0]), draws[1:][np.isfinite(draws[1:])]
    if not np.isfinite(value) or len(replicates) == 0:
        return Interval(value, float("nan"), float("nan"))
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(replicates, [tail, 100 - tail])
    shift = value - float(replicates.mean()) if centred else 0.0
    return Interval(value, float(max(low + shift, 0.0)) if centred else float(low), float(high + shift))


def two_sided_p(draws: Float[np.ndarray, "draw"]) -> float:
    """Bootstrap p of `draws` (a difference) being zero: twice the smaller share of replicates on either side of it."""
    replicates = draws[1:][np.isfinite(draws[1:])]
    if len(replicates) == 0:
        return float("nan")
    below, above = (replicates <= 0).sum() + 1, (replicates >= 0).sum() + 1
    return float(min(1.0, 2 * min(below, above) / (len(replicates) + 1)))
