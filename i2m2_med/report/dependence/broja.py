"""Partial information decomposition of two modalities, from the held-out probabilities of their experts.

I(Y; X₁) = R + U₁, I(Y; X₂) = R + U₂, I(Y; X₁X₂) = R + U₁ + U₂ + S. Redundancy R is that of Bertschinger, Rauh, Olbrich,
Jost and Ay (BROJA, 2014): the union information is the least I(Y; X₁X₂) over all joint distributions with the same
(X₁, Y) and (X₂, Y). An expert's probability is a sufficient statistic of its modality, so binning it loses little.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

BINS = 8
PER_BIN = 40
"""Samples that a bin needs: information counted from few samples comes out too large."""
MOVES = 20
"""Times that targets are moved, to measure the information that chance alone shows."""
ROUNDS = 400
SINKHORN = 30
SETTLED = 1e-7
"""Change of a probability from round to round below which the minimum is reached."""


class Parts(NamedTuple):
    """In nats, one value per draw."""

    redundant: Float[np.ndarray, "*draw"]
    unique_first: Float[np.ndarray, "*draw"]
    unique_second: Float[np.ndarray, "*draw"]
    synergistic: Float[np.ndarray, "*draw"]


def decompose(
    first: Float[np.ndarray, "sample classes"],
    second: Float[np.ndarray, "sample classes"],
    target: Int[np.ndarray, "sample"],
    *,
    gain: Float[np.ndarray, "sample"],
    patient: Int[np.ndarray, "sample"],
    weights: Float[np.ndarray, "patient draw"],
) -> Parts:
    """R, U₁, U₂ from the probabilities that either modality's expert gives; S = mean gain − (R + U₁ + U₂); per column of weights.

    gain: nats that all that is known from both modalities saves on each sample, as held-out NLL shows it (`subsets.py`).
    Information counted from a sample comes out too large, also where there is none: what it comes out as when targets are moved
    to other patients is taken off.
    """
    one, other = bin_by_rank(first), bin_by_rank(second)
    shape = (int(one.max()) + 1, int(other.max()) + 1, first.shape[1])
    observed = _joint(one, other, target=target, patient=patient, weights=weights, shape=shape)
    moved = [
        _joint(one, other, target=each, patient=patient, weights=weights[:, :1], shape=shape)
        for each in _moved(target, patient)
    ]
    parts = broja(np.concatenate([observed, *moved]))
    draws = weights.shape[1]
    # I(Y; X₁), I(Y; X₂) and the union are corrected, not R, U₁ and U₂: chance adds to each of the three, while in their
    # differences it would cancel or turn negative; R and U follow from the corrected ones, so they still add up
    left, right, union = (
        np.maximum(each[:draws] - each[draws:].mean(), 0.0)
        for each in (
            parts.redundant + parts.unique_first,
            parts.redundant + parts.unique_second,
            parts.redundant + parts.unique_first + parts.unique_second,
        )
    )
    # after the correction R may fall outside what I(Y; X₁) and I(Y; X₂) allow
    redundant = np.clip(left + right - union, 0.0, np.minimum(left, right))
    size = np.bincount(patient, minlength=len(weights)) @ weights
    gained = np.bincount(patient, weights=gain, minlength=len(weights)) @ weights / size
    return Parts(redundant, left - redundant, right - redundant, gained - (left + right - redundant))


def _joint(
    one: np.ndarray,
    other: np.ndarray,
    *,
    target: np.ndarray,
    patient: np.ndarray,
    weights: np.ndarray,
    shape: tuple[int, ...],
) -> np.ndarray:
    """(draw, first, second, target): the shares of bins and classes, per column of weights."""
    cell = np.ravel_multi_index((one, other, target), shape)
    counts = sparse.coo_array((np.ones(len(cell)), (cell, patient)), shape=(int(np.prod(shape)), len(weights)))
    sums = counts.tocsr() @ weights
    return (sums / sums.sum(axis=0)).T.reshape(-1, *shape)


def _moved(target: np.ndarray, patient: np.ndarray) -> Iterator[np.ndarray]:
    """Targets given to other patients: turned by more than a patient has samples, so that those of a patient stay together."""
    order = np.argsort(patient, kind="stable")
    largest = int(np.bincount(patient).max())
    for step in np.random.default_rng(0).integers(largest, max(largest + 1, len(order) - largest), size=MOVES):
        given = np.empty_like(target)
        given[order] = target[np.roll(order, int(step))]
        yield given


def broja(joint: Float[np.ndarray, "*draw first second target"]) -> Parts:
    """The decomposition of a discrete distribution P(x₁, x₂, y), or of several at once.

    The union information is min over q, r of D(q(x₁x₂y) ‖ p(y) r(x₁x₂)): r is q's marginal, q the projection of r onto the
    given (x₁, y) and (x₂, y) by iterative proportional fitting; alternating is convex and ends at the minimum
    (Banerjee, Rauh and Montúfar 2018).
    """
    left, right, prior = joint.sum(axis=-2), joint.sum(axis=-3), joint.sum(axis=(-3, -2))[..., None, None, :]
    # start: X₁ and X₂ independent given Y. It has mass wherever a coupling with these marginals may have any, which matters
    # since scaling never gives mass back to a cell of 0
    coupling = _over(left[..., :, None, :] * right[..., None, :, :], prior)
    for _ in range(ROUNDS):
        # the r that is nearest to q is q's own (x₁, x₂) marginal; the next q is p(y) r(x₁x₂), projected
        before, coupling = coupling, _fit(coupling.sum(axis=-1, keepdims=True) * prior, left, right)
        if np.abs(coupling - before).max() < SETTLED:
            break
    pairs = (*joint.shape[:-3], -1, joint.shape[-1])
    union, whole = mutual_information(coupling.reshape(pairs)), mutual_information(joint.reshape(pairs))
    one, other = mutual_information(left), mutual_information(right)
    redundant = np.maximum(0.0, one + other - union)
    return Parts(redundant, one - redundant, other - redundant, whole - union)


def mutual_information(joint: Float[np.ndarray, "*draw x y"]) -> Float[np.ndarray, "*draw"]:
    """I(X; Y) in nats."""
    ratio = _over(joint, joint.sum(axis=-1, keepdims=True) * joint.sum(axis=-2, keepdims=True))
    # a share so small that its product with another vanishes counts as none, as in `_over`
    return np.asarray((joint * np.log(np.where(ratio > 0, ratio, 1.0))).sum(axis=(-2, -1)))


def bin_by_rank(p: Float[np.ndarray, "sample classes"]) -> Int[np.ndarray, "sample"]:
    """Two classes: up to eight bins of p of class 1 with as many samples each; more: the likeliest class, sure or not."""
    if p.shape[1] > 2:
        top = p.argmax(axis=1)
        return np.unique(2 * top + (p.max(axis=1) > np.median(p.max(axis=1))), return_inverse=True)[1]
    bins = int(np.clip(len(p) // PER_BIN, 2, BINS))
    edges = np.unique(np.quantile(p[:, 1], np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, p[:, 1], side="right")


def _fit(start: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The projection of `start` onto the distributions with these (x₁, y) and (x₂, y) marginals."""
    fitted = start
    for _ in range(SINKHORN):
        fitted = fitted * _over(left, fitted.sum(axis=-2))[..., :, None, :]
        fitted = fitted * _over(right, fitted.sum(axis=-3))[..., None, :, :]
    return fitted


def _over(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, 0 where the bottom is 0 (no mass)."""
    return np.divide(top, bottom, out=np.zeros(np.broadcast_shapes(top.shape, bottom.shape)), where=bottom > 0)
