"""Information of the modalities together and of each alone, and their net interaction, in nats.

    total = I(Y; X₁…Xₘ)    own_i = I(Y; X_i)    net = total − Σ own_i = synergy − redundancy

`net` is minus the co-information of two modalities (McGill 1954): −total for a copy, +total for an exclusive or. `between` is
what the relation of the modalities adds to what they would say were they independent given the label. The union information
of Bertschinger et al. (2014) depends on each (X_i, Y) alone, which that surrogate keeps, so `between` is the excess of
their synergy over the surrogate's. `beyond_additive` is what is lost when the model's log-probabilities are replaced by their
additive projection (EMAP; Hessel and Lee, EMNLP 2020). All of it is what one model found in one set of data.

Re-tempering fitted on validation costs about k / 2n nats of k numbers on n samples there, which would be counted against the model
and, for `net`, twice in its favour; fitted on test it gains as much. Each loss is the mean of both, weighed so that the two cancel.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from i2m2_med.report.dependence.conditions import ALL, PAIRED, Shuffled, additive, judged, only, within
from i2m2_med.report.dependence.information import Amount, amount
from i2m2_med.report.dependence.retemper import LEAST as SMALLEST_LOG_P
from i2m2_med.report.dependence.retemper import heard, loss_of, model_p, prior_loss_of, validation
from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.support import support
from i2m2_med.report.statistics.table import Predictions


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """Of one label; every amount has its 95 % interval over patients and seeds."""

    total: Amount
    own: Mapping[str, Amount]
    """By modality: what the model says with all others taken from other patients."""
    net: Amount
    between: Amount
    within: Amount
    """Information that is left when the modalities are made independent given the label."""
    beyond_best: Amount
    """total − the largest `own`: what the others add to the best modality."""
    beyond_additive: Amount
    """NaN where no additive projection was made."""


def interactions(seeds: Sequence[Shuffled], modalities: Sequence[str], draws: int = 1000) -> dict[str, Interaction]:
    """By label, over the test samples; every condition is re-tempered on samples of the same condition."""
    first = seeds[0][PAIRED]
    test, patient, weights = judged(first, draws)
    by_label: dict[str, Interaction] = {}
    for at, label in enumerate(first.labels):
        freedom = _freedom(first.target[test, at], patient)

        def over(seed_losses: Sequence[np.ndarray], freedom: float | None = freedom) -> Amount:
            return amount([each[test] for each in seed_losses], patient, weights, freedom)

        nothing = [_prior_loss(seed[PAIRED], at) for seed in seeds]
        paired = [_loss(seed[PAIRED], at) for seed in seeds]
        apart = [_loss(seed[within(label, ALL)], at) for seed in seeds]
        alone = {name: [_loss(seed[only(name)], at) for seed in seeds] for name in modalities}
        totals = [prior - informed for prior, informed in zip(nothing, paired, strict=True)]
        owns = {
            name: [prior - informed for prior, informed in zip(nothing, each, strict=True)]
            for name, each in alone.items()
        }
        best = max(owns, key=lambda name: float(np.nanmean([each[test] for each in owns[name]])))
        gaps = [_additive_gap(seed, modalities, at) for seed in seeds]
        by_label[label] = Interaction(
            total=over(totals),
            own={name: over(each) for name, each in owns.items()},
            net=over([total - sum(own[at_seed] for own in owns.values()) for at_seed, total in enumerate(totals)]),
            between=over([less - informed for less, informed in zip(apart, paired, strict=True)]),
            within=over([prior - less for prior, less in zip(nothing, apart, strict=True)]),
            beyond_best=over([total - own for total, own in zip(totals, owns[best], strict=True)]),
            beyond_additive=over(gaps),
        )
    return by_label


def interaction_table(by_label: Mapping[str, Interaction]) -> pd.DataFrame:
    """`interactions` as a table: label, kind (`total`, `alone: <modality>`, `net`, …), value, low, high, seed_sd (nats)."""
    rows: list[Row] = []
    for label, each in by_label.items():
        amounts = {"total": each.total} | {f"alone: {name}": own for name, own in each.own.items()}
        amounts |= {
            "net interaction": each.net,
            "beyond the best alone": each.beyond_best,
            "between (excess synergy)": each.between,
            "beyond additive (EMAP)": each.beyond_additive,
        }
        rows += [{"label": label, "kind": kind} | one.row() for kind, one in amounts.items()]
    return pd.DataFrame(rows)


def _freedom(target: np.ndarray, patient: np.ndarray) -> float | None:
    """Degrees of freedom of the error over patients: of two classes Welch's, since the rarer one's patients decide; None for others."""
    classes = len(np.unique(target[target >= 0]))
    return support("balanced_accuracy", target, patient).freedom if classes == 2 else None


def _loss(predictions: Predictions, label: int) -> np.ndarray:
    """−log p(target) per sample: the experts re-tempered."""
    stack = np.stack(list(heard(predictions, label).values()))
    return _balanced(predictions, lambda fit: loss_of(predictions, label, stack, fit))


def _prior_loss(predictions: Predictions, label: int) -> np.ndarray:
    """The same for who knows the class shares only."""
    return _balanced(predictions, lambda fit: prior_loss_of(predictions, label, fit))


def _balanced(predictions: Predictions, losses: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Losses of numbers fitted on validation and on the rest, weighed by how many samples each are: cost and gain of fitting cancel."""
    fit = validation(predictions)
    share = float(fit.mean())
    return share * losses(fit) + (1 - share) * losses(~fit)


def _additive_gap(seed: Shuffled, modalities: Sequence[str], label: int) -> np.ndarray:
    """Per sample NLL(additive projection) − NLL(model), both with one scale and offsets; NaN without a projection.

    The projection of f onto sums of functions of one modality each is Σᵢ E[f | xᵢ] − (m − 1) E[f], expectations over the other
    modalities of other samples; the last term is a constant, which the offsets hold.
    """
    paired = seed[PAIRED]
    if paired.places is not None or not all(additive(name) in seed for name in modalities):
        return np.full(len(paired.samples), np.nan)
    projected = np.sum([_log_p(seed[additive(name)], label) for name in modalities], axis=0)
    whole, sums = (_additive_loss(paired, label, each) for each in (_log_p(paired, label), projected))
    return sums - whole


def _additive_loss(predictions: Predictions, label: int, log_p: np.ndarray) -> np.ndarray:
    return _balanced(predictions, lambda fit: loss_of(predictions, label, log_p[None], fit))


def _log_p(predictions: Predictions, label: int) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(model_p(predictions)[:, label]), SMALLEST_LOG_P)
