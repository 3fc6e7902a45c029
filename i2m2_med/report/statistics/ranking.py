"""AUROC and average precision under many sets of patient weights at once: sort once, then add.

The score order does not depend on the weights, so a replicate needs only sums over runs of equal score: one sparse
matrix (run × patient) times the weights (patient × draw), then cumulative sums over runs.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

DRAWS_AT_ONCE = 256


class Ranked(NamedTuple):
    """AUROC and average precision per draw; NaN where a draw holds one class only."""

    auroc: Float[np.ndarray, "draw"]
    average_precision: Float[np.ndarray, "draw"]


class _Runs(NamedTuple):
    """Counts (run × patient). A run is a score that a positive has, best first; the last run lies below every positive."""

    positive: sparse.csr_array
    tied: sparse.csr_array
    """Negatives of the same score."""
    above: sparse.csr_array
    """Negatives between this score and the next better one of a positive."""


def rank_replicates(
    score: Float[np.ndarray, "sample"],
    positive: Bool[np.ndarray, "sample"],
    patient: Int[np.ndarray, "sample"],
    weights: Float[np.ndarray, "patient draw"],
    importance: Float[np.ndarray, "sample"] | None = None,
) -> Ranked:
    """Both statistics for every column of `weights` (a patient's weight is that of all its samples).

    Ties count half (AUROC) or as one threshold (average precision), as in scikit-learn. importance: how much each sample counts.
    """
    each = np.ones(len(score)) if importance is None else importance
    runs = _runs(score, positive, patient, len(weights), each)
    blocks = [weights[:, start : start + DRAWS_AT_ONCE] for start in range(0, weights.shape[1], DRAWS_AT_ONCE)]
    ranked = [_rank_block(runs, block) for block in blocks]
    return Ranked(*(np.concatenate(parts) for parts in zip(*ranked, strict=True)))


def _runs(score: np.ndarray, positive: np.ndarray, patient: np.ndarray, n_patients: int, each: np.ndarray) -> _Runs:
    _, group = np.unique(-score, return_inverse=True)  # group 0 = the best score
    with_hit = np.unique(group[positive])
    run = np.searchsorted(with_hit, group)
    level = np.isin(group, with_hit)
    shape = (len(with_hit) + 1, n_patients)

    def counts(rows: np.ndarray) -> sparse.csr_array:
        return sparse.csr_array(sparse.coo_array((each[rows], (run[rows], patient[rows])), shape=shape))

    return _Runs(counts(positive), counts(~positive & level), counts(~positive & ~level))


def _rank_block(runs: _Runs, weights: np.ndarray) -> Ranked:
    """A block of draws; arrays are (run, draw)."""
    positive, tied, above = (counts @ weights for counts in runs)
    n_positive = positive.sum(axis=0)
    better = np.cumsum(above + tied, axis=0) - tied  # negatives ranked above the run
    n_negative = better[-1] + tied[-1]
    hits = np.cumsum(positive, axis=0)
    alarms = better + tied
    with np.errstate(invalid="ignore", divide="ignore"):
        won = np.einsum("rd,rd->d", positive, n_negative - better - tied / 2)
        precision = np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=positive > 0)
        both = np.where((n_positive > 0) & (n_negative > 0), 1.0, np.nan)
        area = np.einsum("rd,rd->d", positive, precision)
        return Ranked(both * won / (n_positive * n_negative), both * area / n_positive)
