"""The two random effects behind every statement about a paradigm: who was tested, and how training happened to go.

A statistic of refit s (a training seed, or one round of cross-validation) is θ + a + bₛ + cₛ: a is what the tested patients do to
every refit alike, bₛ what training did, cₛ what these patients do to this refit only. The mean of S refits then has the variance

    Var(a) + (Var(b) + Var(c)) / S

The spread of the refits estimates Var(b) + Var(c), and the covariance over patients between refits estimates Var(a): the usual
mean squares of a two-way random-effects layout (Searle, Casella and McCulloch 1992, ch. 4; for classifiers, readers and cases
Gallas 2006). Adding the whole bootstrap variance to the spread instead would count Var(c) twice: at 5 % it rejected 0.0 to 1.9 %
where training adds nothing.

Either part has few degrees of freedom of its own, so the interval's reach is √(t²·Var(a) + t²·Var of refits) with the t of either
(Banerjee 1960), which holds at least 95 % whatever their sizes: 95 to 98 % in simulated layouts of 3 refits. One t with
Satterthwaite's degrees of freedom for the sum held 92 to 95 % of 3 refits and 88 to 96 % of 2. Refits of two paradigms are put
together by Welch and Satterthwaite, which held there.

The law speaks for the same training set: what another draw of training patients would do is not in it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import special
from scipy.optimize import root_scalar

LEVEL = 0.95
SMALLEST_P = 1e-12


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
    """Of patients and refits together."""
    freedom: float
    """Degrees of freedom of what patients add to the error."""
    repeated: bool
    """True: about the paradigms, with the randomness of training in the error; False: about these trained models only."""
    refit_error: float = 0.0
    """The part of the error that training adds."""
    refit_freedom: float = float("inf")

    @property
    def refit_share(self) -> float:
        """Share of the variance that more refits would shrink; NaN where it can't be known."""
        if not self.repeated:
            return float("nan")
        return (self.refit_error / self.error) ** 2 if self.error > 0 else 0.0

    @property
    def reach(self) -> float:
        """Half the width of the 95 % interval."""
        return self.reach_at(LEVEL)

    @property
    def multiple(self) -> float:
        """The reach in standard errors: Student's t, or what two of them come to."""
        return self.reach / self.error if self.error > 0 else quantile(self.freedom)

    def reach_at(self, level: float) -> float:
        """Half the width of an interval."""
        shared = max(self.error**2 - self.refit_error**2, 0.0)
        patients, refits = quantile(self.freedom, level), quantile(self.refit_freedom, level)
        return float(np.sqrt(patients**2 * shared + refits**2 * self.refit_error**2))

    def p_zero(self, floor: float = 0.0) -> float:
        """Two-sided p of the value being zero, never below `floor`: the widest interval that leaves zero out."""
        if not np.isfinite(self.value) or not np.isfinite(self.error):
            return float("nan")
        if self.value == 0:
            return 1.0
        least = max(floor, SMALLEST_P)
        if self.error == 0 or self.reach_at(1 - least) <= abs(self.value):
            return least
        solution = root_scalar(lambda p: self.reach_at(1 - p) - abs(self.value), bracket=(least, 1.0), xtol=least / 10)
        return float(solution.root)


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
    if not all(len(part.values) > 1 for _, part in parts) or not np.isfinite(patients):
        return Estimate(value, float(np.sqrt(patients)), freedom, False)
    inside = sum(weight**2 * part.interaction / len(part.values) for weight, part in parts)
    spreads = [(weight**2 * part.spread / len(part.values), len(part.values) - 1) for weight, part in parts]
    refits = sum(spread for spread, _ in spreads)
    uncertainty = sum(spread**2 / count for spread, count in spreads)
    error = float(np.sqrt(max(patients - inside, 0.0) + refits))
    own = refits**2 / uncertainty if uncertainty > 0 else 1.0
    return Estimate(value, error, freedom, True, float(np.sqrt(refits)), own)


def quantile(freedom: float, level: float = LEVEL) -> float:
    """Student's t for a two-sided interval."""
    at = (1 + level) / 2
    return float(special.ndtri(at) if np.isinf(freedom) else special.stdtrit(max(freedom, 1.0), at))
