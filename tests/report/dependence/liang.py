"""The synthetic sets of Liang et al. ("Quantifying & Modeling Multimodal Interactions", NeurIPS 2023), and who knows all about them.

Their recipe (`synthetic/generate_data.py`): z₁, z₂, z_c ~ N(0, 1.5 I₅); modality i shows z_i and z_c through random matrices of full
rank, so it tells both exactly; the label is the upper half of σ(mean of the latents it is made of), a fifth of which are dropped at
random and the others divided by 0.8: z_c (`redundancy`), z₁ (`uniqueness0`), z₂ (`uniqueness1`) or z₁ and z₂ (`synergy`).
"""

from itertools import product

import numpy as np
from scipy.special import log_softmax
from scipy.stats import binom, norm

from .worlds import Sample

WIDTH, SPREAD, DROPPED = 5, 1.5, 0.2
SETS = ("redundancy", "uniqueness0", "uniqueness1", "synergy")
MASKS = np.array(list(product((0, 1), repeat=WIDTH)))
KEPT = MASKS.sum(axis=1)
WEIGHTS = (1 - DROPPED) ** KEPT * DROPPED ** (WIDTH - KEPT)


def sums(z: np.ndarray) -> np.ndarray:
    """(sample, mask): the sum of what each mask keeps of (sample, 5) latents."""
    return z @ MASKS.T


def above(sum_of_known: np.ndarray, kept_of_unknown: np.ndarray) -> np.ndarray:
    """P(known + unknown > 0), the unknown a sum of so many latents; a tie counts half."""
    spread = np.sqrt(SPREAD * kept_of_unknown)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, norm.cdf(sum_of_known / spread), (np.sign(sum_of_known) + 1) / 2)


def log_p(sick: np.ndarray) -> np.ndarray:
    """(sample, 2), no less than −12."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(np.stack([1 - sick, sick], axis=-1)), -12.0)


def known(z: np.ndarray) -> np.ndarray:
    """P(y = 1 | all latents that the label is made of): by enumerating masks."""
    return above(sums(z), np.zeros(len(MASKS))) @ WEIGHTS


def half_known(z: np.ndarray) -> np.ndarray:
    """P(y = 1 | z₁) where the label is made of z₁ and z₂."""
    chance = binom.pmf(np.arange(WIDTH + 1), WIDTH, 1 - DROPPED)
    return sum(weight * (above(sums(z), np.full(len(MASKS), kept)) @ WEIGHTS) for kept, weight in enumerate(chance))


def both_known(z1: np.ndarray, z2: np.ndarray) -> np.ndarray:
    """P(y = 1 | z₁, z₂), by enumerating the masks of both."""
    one, other = sums(z1), sums(z2)
    return sum(
        weight * (above(one + other[:, [at]], np.zeros(len(MASKS))) @ WEIGHTS) for at, weight in enumerate(WEIGHTS)
    )


class LiangSample(Sample):
    """Patients of one of the sets, half of them validation, and what the ideal product says of them."""

    def __init__(self, kind: str, patients: int, seed: int = 0) -> None:
        self.kind, self.rng = kind, np.random.default_rng(seed)
        self.modalities = ("a", "b")
        self.z1, self.z2, self.shared = self.rng.normal(0, np.sqrt(SPREAD), (3, patients, WIDTH))
        made_of = {"redundancy": [self.shared], "uniqueness0": [self.z1], "uniqueness1": [self.z2]}
        latents = np.concatenate(made_of.get(kind, [self.z1, self.z2]), axis=1)
        score = (latents * (self.rng.random(latents.shape) >= DROPPED)).sum(axis=1)
        self.y = (np.argsort(np.argsort(score)) >= patients // 2).astype(np.int64)
        self.x = [np.arange(patients)] * 2

    def log_p(self, rows: list[np.ndarray], error: float = 0.0) -> list[np.ndarray]:
        """log P(y | a), log P(y | b), and what knowing both adds; of contradicting shared latents nothing can be added."""
        first, second = rows
        nothing = np.log(np.full((len(first), 2), 0.5))
        if self.kind == "redundancy":
            alone = [log_p(known(self.shared[each])) for each in rows]
            agree = (self.shared[first] == self.shared[second]).all(axis=1)
            rest = np.where(agree[:, None], -alone[1], 0.0)
        elif self.kind == "synergy":
            alone = [log_p(half_known(z[each])) for z, each in zip((self.z1, self.z2), rows, strict=True)]
            rest = log_p(both_known(self.z1[first], self.z2[second])) - alone[0] - alone[1]
        else:
            alone = [nothing, nothing]
            own = 0 if self.kind == "uniqueness0" else 1
            alone[own] = log_p(known((self.z1, self.z2)[own][rows[own]]))
            rest = nothing
        return [*alone, (1 + error) * log_softmax(rest, axis=-1)]

    def truth(self, large: int = 40_000) -> dict[str, float]:
        """Nats, by averaging the entropy of the exact posterior over many patients: total, own_a, own_b."""
        rng = np.random.default_rng(99)
        z1, z2 = rng.normal(0, np.sqrt(SPREAD), (2, large, WIDTH))
        whole = information(known(z1))
        if self.kind == "synergy":
            few = slice(large // 8)
            half = information(half_known(z1))
            return {"total": information(both_known(z1[few], z2[few])), "own_a": half, "own_b": half}
        carries = {"redundancy": (whole, whole), "uniqueness0": (whole, 0.0), "uniqueness1": (0.0, whole)}
        return {"total": whole, "own_a": carries[self.kind][0], "own_b": carries[self.kind][1]}


def information(sick: np.ndarray) -> float:
    """ln 2 less the mean entropy of P(y = 1 | …), classes of equal size."""
    p = np.clip(np.stack([1 - sick, sick]), 1e-12, 1)
    return float(np.log(2) + (p * np.log(p)).sum(axis=0).mean())
