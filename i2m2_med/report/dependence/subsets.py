"""Information of every subset of the experts on held-out samples, re-tempered, and each expert's Shapley share of it.

A share is of information (nats saved against knowing only the class shares), never of logits. Experts that were trained
jointly have no share of their own: other seeds split the same product otherwise, which the spread over seeds shows.
"""

from collections.abc import Sequence
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd

from i2m2_med.report.dependence.information import amount
from i2m2_med.report.dependence.retemper import heard, loss_of, prior_loss_of
from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.intervals import draw_weights
from i2m2_med.report.statistics.table import Predictions

Subset = tuple[str, ...]


def subset_tables(seeds: Sequence[Predictions], draws: int = 1000) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(NLL and information per subset and label, Shapley share per expert and label), of one model trained with several seeds.

    seeds: predictions over validation and test samples; fitted on the first, judged on the second.
    """
    first = seeds[0]
    test = first.samples["split"].to_numpy(dtype=str) == "test"
    patient = np.unique(first.patient[test], return_inverse=True)[1]
    weights = draw_weights(int(patient.max()) + 1, draws)
    subsets: list[Row] = []
    shares: list[Row] = []
    for at, label in enumerate(first.labels):
        losses = [
            {names: per_sample[test] for names, per_sample in subset_losses(predictions, at).items()}
            for predictions in seeds
        ]
        for names in losses[0]:
            nats = amount([seed[()] - seed[names] for seed in losses], patient, weights)
            nll = float(np.nanmean([seed[names] for seed in losses]))
            subsets.append({"label": label, "experts": " + ".join(names) or "none", "nll": nll} | nats.row())
        for expert in first.experts:
            share = amount([shapley(seed, expert) for seed in losses], patient, weights)
            shares.append({"label": label, "expert": expert} | share.row())
    return pd.DataFrame(subsets), pd.DataFrame(shares)


def subset_losses(predictions: Predictions, label: int) -> dict[Subset, np.ndarray]:
    """−log p(target) per sample of the product of each subset, re-tempered on validation; `()` knows the class shares only.

    An expert that is absent from a sample adds nothing to it.
    """
    log_probs = heard(predictions, label)
    losses: dict[Subset, np.ndarray] = {(): prior_loss_of(predictions, label)}
    for size in range(1, len(log_probs) + 1):
        for names in combinations(log_probs, size):
            stack = np.stack([log_probs[name] for name in names])
            losses[names] = loss_of(predictions, label, stack)
    return losses


def shapley(losses: dict[Subset, np.ndarray], expert: str) -> np.ndarray:
    """The expert's Shapley value of information, per sample: its saving, averaged over the orders of joining."""
    experts = max(losses, key=len)
    others = [name for name in experts if name != expert]
    total = np.zeros_like(losses[()])
    for size in range(len(others) + 1):
        weight = factorial(size) * factorial(len(others) - size) / factorial(len(experts))
        for names in combinations(others, size):
            joined = tuple(name for name in experts if name in names or name == expert)
            total += weight * (losses[names] - losses[joined])
    return total
