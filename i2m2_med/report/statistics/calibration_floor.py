"""The calibration error that a perfectly calibrated model would show: bins of few samples are never even.

Labels are drawn from the probabilities themselves, so that only chance is left. A model whose error is within this floor
can't be told from a calibrated one; below the floor's mean it was lucky.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from i2m2_med.report.statistics.metrics import N_BINS, bin_of

DRAWS = 400


class Floor(NamedTuple):
    """Expected calibration error under perfect calibration: its mean, and where 95 % of draws lie."""

    value: float
    low: float
    high: float


def calibration_floor(
    p: Float[np.ndarray, "sample classes"],
    patient: Int[np.ndarray, "sample"] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Floor:
    """Of `expected_calibration_error`, with the same bins.

    patient: samples of one patient are drawn together, right as far as one common number allows each, as if they were
    repeats of one measurement; without, every sample by itself. The truth lies between. NaN without a sample.
    """
    if not len(p):
        return Floor(*[float("nan")] * 3)
    confidence = p[:, 1] if p.shape[1] == 2 else p.max(axis=1)
    bins = bin_of(confidence, N_BINS)
    group = np.arange(len(p)) if patient is None else np.unique(patient, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    errors = np.empty(draws)
    for draw in range(draws):
        hit = rng.random(int(group.max()) + 1)[group] < confidence
        errors[draw] = np.abs(np.bincount(bins, weights=confidence - hit, minlength=N_BINS)).sum() / len(p)
    return Floor(float(errors.mean()), *(float(end) for end in np.quantile(errors, (0.025, 0.975))))
