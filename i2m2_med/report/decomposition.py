"""Partial information decomposition of two modalities, from the held-out probabilities of their experts.

I(Y; X₁) = R + U₁, I(Y; X₂) = R + U₂, I(Y; X₁X₂) = R + U₁ + U₂ + S. Redundancy R is that of Bertschinger, Rauh, Olbrich,
Jost and Ay (BROJA, 2014): the union information is the least I(Y; X₁X₂) over all joint distributions with the same
(X₁, Y) and (X₂, Y). An expert's probability is a sufficient statistic of its modality, so binning it loses little.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

BINS = 8
PER_BIN = 40
"""Samples that a bin needs: information counted from few samples comes out too large."""
ROUNDS = 400
SINKHORN = 30


class Parts(NamedTuple):
    """In nats."""

    redundant: float
    unique_first: float
    unique_second: float
    synergistic: float


def decompose(
    first: Float[np.ndarray, "sample classes"],
    second: Float[np.ndarray, "sample classes"],
    target: Int[np.ndarray, "sample"],
    joint_nats: float,
) -> Parts:
    """R, U₁, U₂ from the probabilities that either modality's expert gives; S = joint_nats − (R + U₁ + U₂).

    joint_nats: information of all that is known from both modalities, as held-out NLL shows it (`subsets.py`).
    """
    classes = first.shape[1]
    one, other = bin_by_rank(first), bin_by_rank(second)
    joint = np.zeros((int(one.max()) + 1, int(other.max()) + 1, classes))
    np.add.at(joint, (one, other, target), 1 / len(target))
    found = broja(joint)
    union = found.redundant + found.unique_first + found.unique_second
    return found._replace(synergistic=joint_nats - union)


def broja(joint: Float[np.ndarray, "first second target"]) -> Parts:
    """The decomposition of a discrete distribution P(x₁, x₂, y).

    The union information is min over q, r of D(q(x₁x₂y) ‖ p(y) r(x₁x₂)): r is q's marginal, q the projection of r onto the
    given (x₁, y) and (x₂, y) by iterative proportional fitting; alternating is convex and ends at the minimum
    (Banerjee, Rauh and Montúfar 2018).
    """
    left, right, prior = joint.sum(axis=1), joint.sum(axis=0), joint.sum(axis=(0, 1))
    kept = prior > 0
    left, right, prior = left[:, kept], right[:, kept], prior[kept]
    coupling = left[:, None] * right[None] / prior
    for _ in range(ROUNDS):
        coupling = _fit(coupling.sum(axis=2, keepdims=True) * prior, left, right)
    union = mutual_information(coupling.reshape(-1, len(prior)))
    one, other = mutual_information(left), mutual_information(right)
    redundant = max(0.0, one + other - union)
    whole = mutual_information(joint[:, :, kept].reshape(-1, len(prior)))
    return Parts(redundant, one - redundant, other - redundant, whole - union)


def mutual_information(joint: Float[np.ndarray, "x y"]) -> float:
    """I(X; Y) in nats."""
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / independent[seen])).sum())


def bin_by_rank(p: Float[np.ndarray, "sample classes"]) -> Int[np.ndarray, "sample"]:
    """Two classes: up to eight bins of p of class 1 with as many samples each; more: the likeliest class, sure or not."""
    if p.shape[1] > 2:
        top = p.argmax(axis=1)
        return np.unique(2 * top + (p.max(axis=1) > np.median(p.max(axis=1))), return_inverse=True)[1]
    bins = int(np.clip(len(p) // PER_BIN, 2, BINS))
    edges = np.unique(np.quantile(p[:, 1], np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, p[:, 1], side="right")


def parts_row(label: str, first: str, second: str, parts: Parts) -> dict[str, object]:
    """One line of the table of decompositions."""
    return {"label": label, "first": first, "second": second, **parts._asdict()}


def _fit(start: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The projection of `start` onto the distributions with these (x₁, y) and (x₂, y) marginals."""
    fitted = start
    for _ in range(SINKHORN):
        rows = fitted.sum(axis=1)
        fitted = fitted * np.divide(left, rows, out=np.zeros_like(rows), where=rows > 0)[:, None]
        columns = fitted.sum(axis=0)
        fitted = fitted * np.divide(right, columns, out=np.zeros_like(columns), where=columns > 0)[None]
    return fitted
