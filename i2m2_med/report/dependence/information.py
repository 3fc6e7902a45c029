"""Nats that a model gets out of its inputs, with their error over patients and over seeds.

Everything here is a mean over samples of differences of −log p(target), so it is kept per sample (`Contribution`) until the
very end: bootstrap by patient and means over seeds then are matrix products.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.refits import Refits, contrast, of_draws


@dataclass(frozen=True)
class Amount:
    """A mean with its 95 % half-width, and the spread over seeds that is part of it."""

    value: float
    margin: float
    seed_sd: float
    """NaN with one seed."""

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - self.margin

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + self.margin

    def row(self) -> Row:
        """The same as columns of a table."""
        return {"value": self.value, "low": self.low, "high": self.high, "seed_sd": self.seed_sd}

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.margin:.3f}"


def amount(
    seeds: Sequence[Float[np.ndarray, "sample"]],
    patient: Int[np.ndarray, "sample"],
    weights: Float[np.ndarray, "patient draw"],
    freedom: float | None = None,
) -> Amount:
    """The mean over samples and seeds, with the randomness of patients and of training in its margin (`statistics/refits.py`).

    freedom: degrees of freedom of the error over patients; one less than there are, where not given. Samples that are NaN in any
    seed are left out.
    """
    stacked = np.stack(list(seeds))
    known = np.isfinite(stacked).all(axis=0)
    if not known.any():
        return Amount(float("nan"), float("nan"), float("nan"))
    sizes = np.bincount(patient[known], minlength=len(weights)) @ weights
    sums = np.stack([np.bincount(patient[known], weights=seed, minlength=len(weights)) for seed in stacked[:, known]])
    draws = sums @ weights / np.where(sizes > 0, sizes, np.nan)
    return _amount(of_draws(draws), freedom or float(max(len(np.unique(patient[known])) - 1, 1)))


def of_seeds(draws: Float[np.ndarray, "seed draw"], patients: int) -> Amount:
    """From bootstrap draws of each seed, the first of which is its value."""
    return _amount(of_draws(draws), float(max(patients - 1, 1)))


def of_first_seed(draws: Float[np.ndarray, "draw"], values: Sequence[float], patients: int) -> Amount:
    """From each seed's own value and the draws of one seed, as if patients moved every seed alike."""
    drawn = of_draws(draws[None]).moves
    moves = np.repeat(drawn, len(values), axis=0)
    return _amount(Refits(np.array(values), moves), float(max(patients - 1, 1)))


def _amount(refits: Refits, freedom: float) -> Amount:
    estimate = contrast([(1.0, refits)], freedom)
    spread = float(np.sqrt(refits.spread)) if len(refits.values) > 1 else float("nan")
    return Amount(estimate.value, estimate.reach, spread)
