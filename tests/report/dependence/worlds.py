"""Discrete worlds whose information is known by enumeration, and what an ideal product of experts says in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from i2m2_med.report.dependence.conditions import ALL, PAIRED, additive, among, only, within
from i2m2_med.report.statistics.table import Predictions, read_predictions

FLIP = 0.1
"""Share of labels that are turned around: nothing is ever certain."""
DONORS = 24


def world(outcomes: Callable[..., tuple[tuple[int, ...], float]], *bits: Sequence[float]) -> np.ndarray:
    """P(x₁, …, xₘ, y): `outcomes` maps independent hidden values, with the given probabilities, to (x, P(y = 1))."""
    table: dict[tuple[int, ...], float] = {}
    for values in np.ndindex(*(len(one) for one in bits)):
        weight = float(np.prod([one[value] for one, value in zip(bits, values, strict=True)]))
        x, sick = outcomes(*values)
        for y, share in ((0, 1 - sick), (1, sick)):
            table[(*x, y)] = table.get((*x, y), 0.0) + weight * share
    joint = np.zeros(tuple(np.max(list(table), axis=0) + 1))
    for place, share in table.items():
        joint[place] = share
    return joint


def noisy(y: int | bool, flip: float = FLIP) -> float:
    """P(y = 1) where the truth is turned around with probability `flip`."""
    return 1 - flip if y else flip


FAIR = (0.5, 0.5)
WORLDS: dict[str, np.ndarray] = {
    "none": world(lambda a, b: ((a, b), 0.5), FAIR, FAIR),
    "unique": world(lambda a, b: ((a, b), noisy(a, 0.15)), FAIR, FAIR),
    "copy": world(lambda a: ((a, a), noisy(a, 0.15)), FAIR),
    # evidence that is independent given the label
    "additive": world(lambda y, a, b: ((y ^ a, y ^ b), float(y)), FAIR, (0.8, 0.2), (0.7, 0.3)),
    "xor": world(lambda a, b: ((a, b), noisy(a ^ b)), FAIR, FAIR),
    "and": world(lambda a, b: ((a, b), noisy(a & b)), FAIR, FAIR),
    # one bit that both have, and a relation of two more
    "shared + xor": world(
        lambda s, a, b: ((2 * s + a, 2 * s + b), noisy(s, 0.2) * 0.5 + noisy(a ^ b, 0.05) * 0.5), FAIR, FAIR, FAIR
    ),
    # the second modality is only the first one's disturbance
    "shared nuisance": world(lambda y, n: ((y + n, n), noisy(y)), FAIR, (0.4, 0.3, 0.3)),
    # the second modality says how far the first can be trusted
    "calibrator": world(lambda a, r: ((a, r), noisy(a, 0.05) if r else 0.5), FAIR, FAIR),
    "5 % prevalence": world(
        lambda y, a, b: ((y ^ a, y ^ b), float(y)), (0.95, 0.05), (0.85, 0.15), (0.85, 0.15)
    ),
    "three modalities": world(
        lambda a, b, c: ((a, b, c), 0.6 * noisy(a ^ b, 0.03) + 0.4 * noisy(c, 0.03)), FAIR, FAIR, FAIR
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """Nats, by enumeration."""

    total: float
    own: tuple[float, ...]
    between: float
    additive_gap: float

    @property
    def net(self) -> float:
        return self.total - sum(self.own)


def entropy_given(joint: np.ndarray) -> float:
    """H(Y | X) of P(x…, y)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        conditional = np.nan_to_num(np.log(joint / joint.sum(axis=-1, keepdims=True)), neginf=0.0)
    return -float((joint * conditional).sum())


def marginal(joint: np.ndarray, *keep: int) -> np.ndarray:
    """P of some modalities and y."""
    away = tuple(axis for axis in range(joint.ndim - 1) if axis not in keep)
    return joint.sum(axis=away)


def truth(joint: np.ndarray) -> Truth:
    """Every amount of a world."""
    modalities = joint.ndim - 1
    prior = entropy_given(marginal(joint))
    total = prior - entropy_given(joint)
    own = tuple(prior - entropy_given(marginal(joint, each)) for each in range(modalities))
    given_y = marginal(joint)
    apart = given_y
    for each in range(modalities):
        shape = [1] * modalities + [joint.shape[-1]]
        shape[each] = joint.shape[each]
        apart = apart * (marginal(joint, each) / given_y).reshape(shape)
    return Truth(total, own, total - (prior - entropy_given(apart)), additive_gap(joint))


def log_posterior(joint: np.ndarray) -> np.ndarray:
    """log P(y | x…); where x never occurs, as the modalities say it independently."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(joint / joint.sum(axis=-1, keepdims=True))
    return np.where(joint.sum(axis=-1, keepdims=True) > 0, found, independent(joint))


def independent(joint: np.ndarray) -> np.ndarray:
    """Σᵢ log P(y | xᵢ) − (m − 1) log P(y), normalised."""
    modalities = joint.ndim - 1
    found = (1 - modalities) * np.log(marginal(joint))
    for each in range(modalities):
        shape = [1] * modalities + [joint.shape[-1]]
        shape[each] = joint.shape[each]
        found = found + log_posterior_of(marginal(joint, each)).reshape(shape)
    return log_softmax(np.broadcast_to(found, joint.shape), axis=-1)


def log_posterior_of(single: np.ndarray) -> np.ndarray:
    """log P(y | xᵢ), no less than −12."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(single / single.sum(axis=-1, keepdims=True)), -12.0)


def additive_gap(joint: np.ndarray) -> float:
    """NLL of the best-scaled additive projection of the log posterior, less that of the posterior itself."""
    modalities = joint.ndim - 1
    f = np.maximum(log_posterior(joint), -12.0)
    weights = [joint.sum(axis=tuple(axis for axis in range(joint.ndim) if axis != each)) for each in range(modalities)]
    projected = np.zeros_like(f)
    for each in range(modalities):
        mean = f
        for axis in sorted((axis for axis in range(modalities) if axis != each), reverse=True):
            mean = np.tensordot(weights[axis], mean, axes=(0, axis))
        shape = [1] * modalities + [joint.shape[-1]]
        shape[each] = joint.shape[each]
        projected = projected + mean.reshape(shape)

    def cost(at: np.ndarray) -> float:
        said = log_softmax(np.exp(at[0]) * projected + at[1:], axis=-1)
        return -float((joint * said).sum())

    best = min(minimize(cost, [start, 0.0, 0.0]).fun for start in (-4.0, 0.0))
    return best - entropy_given(joint)


class Sample:
    """Patients drawn from a world, half of them validation, and what the ideal product says of them under every condition."""

    def __init__(self, joint: np.ndarray, patients: int, seed: int = 0) -> None:
        self.joint, self.rng = joint, np.random.default_rng(seed)
        cells = self.rng.choice(joint.size, size=patients, p=joint.ravel())
        *self.x, self.y = np.unravel_index(cells, joint.shape)
        self.modalities = tuple("abc"[: len(self.x)])
        joint_log_p, self.alone = np.maximum(log_posterior(joint), -12.0), []
        for each in range(len(self.x)):
            self.alone.append(log_posterior_of(marginal(joint, each)))
        rest = joint_log_p.copy()
        for each, said in enumerate(self.alone):
            shape = [1] * len(self.x) + [joint.shape[-1]]
            shape[each] = joint.shape[each]
            rest = rest - said.reshape(shape)
        self.rest = log_softmax(rest, axis=-1)

    def donors(self, same_label: bool) -> np.ndarray:
        rows = np.arange(len(self.y))
        split = rows % 2
        given = rows.copy()
        for group in np.unique(np.stack([split, self.y if same_label else 0 * self.y]), axis=1).T:
            members = rows[(split == group[0]) & (self.y == group[1] if same_label else True)]
            given[members] = self.rng.permutation(members)
        return given

    def log_p(self, rows: Sequence[np.ndarray], error: float = 0.0) -> list[np.ndarray]:
        """Each expert's log-probabilities, (sample, class), where modality i is that of `rows[i]`; error: a seed's own mistake."""
        x = [values[each] for values, each in zip(self.x, rows, strict=True)]
        return [*(said[values] for said, values in zip(self.alone, x, strict=True)), (1 + error) * self.rest[tuple(x)]]

    def predictions(self, make_long: Callable, experts: list[np.ndarray]) -> Predictions:
        rows = np.arange(len(self.y))
        names = [*self.modalities, "joint"]
        columns = {
            f"p_{name}": np.exp(log_softmax(said, axis=-1))[:, None] for name, said in zip(names, experts, strict=True)
        }
        whole = np.exp(log_softmax(np.sum(experts, axis=0), axis=-1))[:, None]
        split = np.where(rows % 2 == 0, "valid", "test")
        return read_predictions(make_long(whole, self.y[:, None], rows, split, **columns))

    def shuffled(self, make_long: Callable, error: float = 0.0) -> dict[str, Predictions]:
        """Every condition."""
        rows, m = np.arange(len(self.y)), len(self.x)
        told = {PAIRED: [rows] * m}
        for at, name in enumerate(self.modalities):
            told[only(name)] = [rows if each == at else self.donors(False) for each in range(m)]
        told[among(ALL)] = [self.donors(False) for _ in range(m)]
        told[within("label0", ALL)] = [self.donors(True) for _ in range(m)]
        found = {name: self.predictions(make_long, self.log_p(each, error)) for name, each in told.items()}
        chosen = self.rng.choice(rows, DONORS, replace=False)
        for at, name in enumerate(self.modalities):
            mean = np.mean(
                [
                    log_softmax(
                        np.sum(
                            self.log_p([rows if i == at else np.full_like(rows, donor) for i in range(m)], error),
                            axis=0,
                        ),
                        axis=-1,
                    )
                    for donor in chosen
                ],
                axis=0,
            )
            found[additive(name)] = self.predictions(make_long, [*([np.zeros_like(mean)] * m), mean])
        return found
