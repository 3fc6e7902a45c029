"""The two random effects behind every statement about a paradigm: who was tested, and how training happened to go.

A statistic of refit s (a training seed, or one round of cross-validation) is θ + a + bₛ + cₛ: a is what the tested patients do to
every refit alike, bₛ what training did, cₛ what these patients do to this refit only. The mean of S refits then has the variance

    Var(a) + (Var(b) + Var(c)) / S

The spread of the refits estimates Var(b) + Var(c), and the covariance over patients between refits estimates Var(a): the usual
mean squares of a two-way random-effects layout (Searle, Casella and McCulloch 1992, ch. 4; for classifiers, readers and cases
Gallas 2006). Degrees of freedom are Satterthwaite's (1946). Adding the whole bootstrap variance to the spread instead would count
Var(c) twice: at 5 % it rejected 0.0 to 1.9 % where training adds nothing.

Of two refits alone the spread is one number of one degree of freedom: intervals of one paradigm then held the truth in 91 to 95 %
of simulated worlds; of three or more in 95 %. The law speaks for the same training set: what another draw of training patients would do is not in it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import special

LEVEL = 0.95


class Refits(NamedTuple):
    """One statistic of one paradigm. Over patients, the variance of any weighted sum of refits is that sum's sum of squares."""

    values: Float[np.ndarray, "refit"]
    moves: Float[np.ndarray, "refit unit"]
    """How patients move each refit: influences of patients, or scaled deviations of bootstrap draws."""

    @property
    def interaction(self) -> float:
        """Var(c): what patients do to single refits; 0 for one."""
        apart = self.moves - self.moves.mean(axis=0)
        return float(np.square(apart).sum()) / max(len(self.values) - 1, 1)

    def parted(self, first: int) -> "tuple[Refits, Refits]":
        """The first refits, and the others: two models under the same draws."""
        return Refits(self.values[:first], self.moves[:first]), Refits(self.values[first:], self.moves[first:])

    @property
    def spread(self) -> float:
        """Var(b) + Var(c), from the values of the refits; 0 for one."""
        return float(self.values.var(ddof=1)) if len(self.values) > 1 else 0.0


class Estimate(NamedTuple):
    """A value with its standard error, the error's degrees of freedom, and how far it reaches."""

    value: float
    error: float
    freedom: float
    repeated: bool
    """True: about the paradigms, with the randomness of training in the error; False: about these trained models only."""
    refit_share: float
    """Share of the variance that more refits would shrink; NaN where it can't be known."""

    @property
    def reach(self) -> float:
        """Half the width of the 95 % interval."""
        return quantile(self.freedom) * self.error

    def p_zero(self, floor: float = 0.0) -> float:
        """Two-sided p of the value being zero, never below `floor`; 1 where two models never differ."""
        if not np.isfinite(self.value) or not np.isfinite(self.error):
            return float("nan")
        if self.error == 0:
            return 1.0 if self.value == 0 else floor
        return max(float(2 * special.stdtr(self.freedom, -abs(self.value) / self.error)), floor)


def of_draws(draws: Float[np.ndarray, "refit draw"]) -> Refits:
    """From bootstrap draws, the first being the value itself. Draws that any refit does not define are left out."""
    replicates = draws[:, 1:]
    replicates = replicates[:, np.isfinite(replicates).all(axis=0)]
    if replicates.shape[1] < 2:
        return Refits(draws[:, 0], np.full((len(draws), 1), np.nan))
    centred = replicates - replicates.mean(axis=1, keepdims=True)
    return Refits(draws[:, 0], centred / np.sqrt(replicates.shape[1] - 1))


def contrast(parts: Sequence[tuple[float, Refits]], freedom: float) -> Estimate:
    """Σ weight · mean over refits, such as one paradigm's mean (1, its refits), or the difference of two (1 and −1).

    freedom: degrees of freedom of the variance over patients. Parts of one refit only leave a statement about these models.
    """
    value = sum(weight * float(part.values.mean()) for weight, part in parts)
    moves = sum((weight * part.moves.mean(axis=0) for weight, part in parts), start=np.zeros(1))
    patients = float(np.square(moves).sum())
    repeated = all(len(part.values) > 1 for _, part in parts)
    if not repeated or not np.isfinite(patients):
        return Estimate(value, float(np.sqrt(patients)), freedom, repeated and np.isfinite(patients), float("nan"))
    inside = sum(weight**2 * part.interaction / len(part.values) for weight, part in parts)
    shared = max(patients - inside, 0.0)
    refits = [(weight**2 * part.spread / len(part.values), len(part.values) - 1) for weight, part in parts]
    variance = shared + sum(part for part, _ in refits)
    uncertainty = shared**2 / max(freedom, 1.0) + sum(part**2 / count for part, count in refits)
    total = variance**2 / uncertainty if uncertainty > 0 else freedom
    share = (variance - shared) / variance if variance > 0 else 0.0
    return Estimate(value, float(np.sqrt(variance)), total, True, share)


def quantile(freedom: float, level: float = LEVEL) -> float:
    """Student's t for a two-sided interval."""
    at = (1 + level) / 2
    return float(special.ndtri(at) if np.isinf(freedom) else special.stdtrit(max(freedom, 1.0), at))
