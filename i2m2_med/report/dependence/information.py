"""Nats that a model gets out of its inputs, with their error over patients and over seeds.

Everything here is a mean over samples of differences of −log p(target), so it is kept per sample (`Contribution`) until the
very end: bootstrap by patient and means over seeds then are matrix products.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from i2m2_med.report.statistics.bootstrap import Row


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
) -> Amount:
    """The mean over samples and seeds. Its variance is that over patients (bootstrap of the mean over seeds) plus that of
    seeds over their number; samples that are NaN in any seed are left out."""
    known = np.isfinite(np.stack(list(seeds))).all(axis=0)
    if not known.any():
        return Amount(float("nan"), float("nan"), float("nan"))
    mean = np.mean([seed[known] for seed in seeds], axis=0)
    sums = np.bincount(patient[known], weights=mean, minlength=len(weights)) @ weights
    sizes = np.bincount(patient[known], minlength=len(weights)) @ weights
    return of_draws(sums / np.where(sizes > 0, sizes, np.nan), [float(seed[known].mean()) for seed in seeds])


def of_draws(draws: Float[np.ndarray, "draw"], values: Sequence[float]) -> Amount:
    """From the draws of a mean over seeds (the first is its value) and each seed's own value."""
    sampling = float(np.nanvar(draws[1:])) if len(draws) > 1 else float("nan")
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    between = spread**2 / len(values) if len(values) > 1 else 0.0
    return Amount(float(draws[0]), 1.96 * float(np.sqrt(sampling + between)), spread)
