"""Judged for another population: where `evaluation.prior` names its class shares, each sample counts as often as its class does
there, so that accuracy, NLL, calibration and predictive values are that population's (Saerens et al. 2002; label shift)."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int


def importance_of(
    target: Int[np.ndarray, "sample label"], labels: Sequence[str], prior: Mapping[str, Sequence[float]]
) -> Float[np.ndarray, "sample label"] | None:
    """(share in the population) / (share among these samples) of each sample's class; None where no label has a prior.

    Mean 1 over samples of known target. A label without a prior, and samples of unknown target, count one each.
    """
    if not any(name in prior for name in labels):
        return None
    importance = np.ones(target.shape)
    for at, name in enumerate(labels):
        known = target[:, at] >= 0
        if name not in prior or not known.any():
            continue
        wanted = np.array(prior[name], dtype=np.float64)
        was = np.bincount(target[known, at], minlength=len(wanted)) / known.sum()
        ratio = np.divide(wanted, was, out=np.zeros_like(wanted), where=was > 0)
        each = ratio[target[known, at]]
        importance[known, at] = each / each.mean()
    return importance
