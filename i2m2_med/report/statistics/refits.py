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

The law of seeds speaks for the same training set: what another draw of training patients would do is not in it.

Cross-validation trains each paradigm once per fold (and seed), so its folds are the refits. A fold's share of the pooled statistic
is its pseudo-value k θ − (k − 1) θ₋ⱼ (Quenouille; θ₋ⱼ: without the samples that fold j tests), which for a mean is the fold's own
mean. Folds share most of their training patients, so the variance of the mean over folds is not s²/k but s² (1/k + 1/(k − 1)),
Nadeau and Bengio's (2003) correction by test patients over training patients, with k − 1 degrees of freedom. What patients alone
give is the least that the interval reaches. Seeds within folds are averaged first, so their randomness is in s². Two paradigms of
equal skill differ so at 0.05 in 0.5 to 4 % of simulated comparisons (AUROC); by the spread of patients alone in 5 to 15 %. Counting
the patients' part with its own many degrees of freedom gave 2 to 8 % (`tests/report/statistics/test_fold_error_rates.py`).
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
    folds: Float[np.ndarray, "refit fold"] = np.empty((0, 0))
    """Pseudo-values of each fold, where the refits are rounds of cross-validation."""

    @property
    def interaction(self) -> float:
        """Var(c): what patients do to single refits; 0 for one."""
        apart = self.moves - self.moves.mean(axis=0)
        return float(np.square(apart).sum()) / max(len(self.values) - 1, 1)

    def parted(self, first: int) -> "tuple[Refits, Refits]":
        """The first refits, and the others: two models under the same draws."""
        ours, theirs = (Refits(*(part[rows] for part in self)) for rows in (slice(first), slice(first, None)))
        return ours, theirs

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


def of_draws(draws: Float[np.ndarray, "refit draw"], folds: int = 0) -> Refits:
    """From bootstrap draws, the first being the value itself. Draws that any refit does not define are left out.

    folds: so many of the last columns are the statistic without the samples of one fold each.
    """
    replicates, without = np.split(draws[:, 1:], [draws.shape[1] - 1 - folds], axis=1)
    pseudo = pseudo_values(draws[:, 0], without)
    replicates = replicates[:, np.isfinite(replicates).all(axis=0)]
    if replicates.shape[1] < 2:
        return Refits(draws[:, 0], np.full((len(draws), 1), np.nan), pseudo)
    centred = replicates - replicates.mean(axis=1, keepdims=True)
    return Refits(draws[:, 0], centred / np.sqrt(replicates.shape[1] - 1), pseudo)


def pseudo_values(
    values: Float[np.ndarray, "refit"], without: Float[np.ndarray, "refit fold"]
) -> Float[np.ndarray, "refit fold"]:
    """k θ − (k − 1) θ₋ⱼ. without: the statistic without the samples of each of the k folds."""
    count = without.shape[1]
    return count * values[:, None] - (count - 1) * without


def contrast(parts: Sequence[tuple[float, Refits]], freedom: float) -> Estimate:
    """Σ weight · mean over refits, such as one paradigm's mean (1, its refits), or the difference of two (1 and −1).

    freedom: degrees of freedom of the variance over patients. Parts of one refit only leave a statement about these models.
    """
    value = sum(weight * float(part.values.mean()) for weight, part in parts)
    moves = sum((weight * part.moves.mean(axis=0) for weight, part in parts), start=np.zeros(1))
    patients = float(np.square(moves).sum())
    if all(part.folds.size for _, part in parts):
        shares = np.sum([weight * part.folds.mean(axis=0) for weight, part in parts], axis=0)
        return over_folds(value, patients, shares, freedom)
    if not all(len(part.values) > 1 for _, part in parts) or not np.isfinite(patients):
        return Estimate(value, float(np.sqrt(patients)), freedom, False)
    inside = sum(weight**2 * part.interaction / len(part.values) for weight, part in parts)
    spreads = [(weight**2 * part.spread / len(part.values), len(part.values) - 1) for weight, part in parts]
    refits = sum(spread for spread, _ in spreads)
    uncertainty = sum(spread**2 / count for spread, count in spreads)
    error = float(np.sqrt(max(patients - inside, 0.0) + refits))
    own = refits**2 / uncertainty if uncertainty > 0 else 1.0
    return Estimate(value, error, freedom, True, float(np.sqrt(refits)), own)


def over_folds(value: float, patients: float, shares: Float[np.ndarray, "fold"], freedom: float) -> Estimate:
    """The estimate of a cross-validated value. patients: variance over patients; shares: the folds' pseudo-values.

    Where one of them is not defined (without a fold a class is gone) the statement is about these models only.
    """
    count = len(shares)
    if not np.isfinite(patients) or not np.isfinite(shares).all():
        return Estimate(value, float(np.sqrt(patients)), freedom, False)
    corrected = float(np.sqrt(shares.var(ddof=1) * (1 / count + 1 / (count - 1))))
    of_folds = Estimate(value, corrected, freedom, True, corrected, count - 1.0)
    of_patients = Estimate(value, float(np.sqrt(patients)), freedom, True)
    return max(of_folds, of_patients, key=lambda one: one.reach)


def quantile(freedom: float, level: float = LEVEL) -> float:
    """Student's t for a two-sided interval."""
    at = (1 + level) / 2
    return float(special.ndtri(at) if np.isinf(freedom) else special.stdtrit(max(freedom, 1.0), at))
