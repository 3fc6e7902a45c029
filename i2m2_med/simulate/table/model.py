"""The generative model: what the diagnosis puts into each modality, and what it puts between two of them.

For a patient with diagnosis y ∈ {−1, +1} are drawn, independent given y:

    evidence of modality m     eₘ ~ N(aₘ y, 1)            aₘ = STRENGTH · its dial
    a sign of the first of the pair    u uniform on ±1
    a sign of the second               v = u y with probability q, else −u y;   q = ½ + AGREEMENT · dial `between`

Either sign alone is uniform whatever y is; only both together say something. The signs are drawn into every modality at a
dial of 0 too, where they mean nothing. Others than the pair show a sign of their own that is never tied to anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MODALITIES = ("t1", "clinical", "report", "labs")
STRENGTH = 1.0
"""At dial 1 a lone modality reaches AUROC Φ(2/√2) = 0.921."""
AGREEMENT = 0.48
Array = NDArray[np.float64]
Signs = NDArray[np.int8]


@dataclass(frozen=True)
class Dials:
    """Strength of the evidence within each modality and between the two of the pair; 0 (none) to 1."""

    within: Mapping[str, float]
    between: float
    pair: tuple[str, str]

    @property
    def agreement(self) -> float:
        """Probability that the product of the two signs is the diagnosis."""
        return 0.5 + AGREEMENT * self.between


@dataclass(frozen=True)
class Cases:
    """Drawn patients."""

    diagnosis: Signs
    """(case,) −1 control, +1 ill."""
    evidence: dict[str, Array]
    """By modality, (case,)."""
    sign: dict[str, Signs]
    """By modality, (case,) ±1."""
    acquired: dict[str, NDArray[np.bool_]]
    """By modality, (case,)."""

    def __len__(self) -> int:
        return len(self.diagnosis)


def draw_cases(count: int, prevalence: float, missing: float, dials: Dials, rng: np.random.Generator) -> Cases:
    """Patients, the random numbers the same whatever the dials. The clinical columns are never missing as a whole."""
    y = np.where(rng.permutation(count) < round(prevalence * count), 1, -1).astype(np.int8)
    noise = {name: rng.standard_normal(count) for name in MODALITIES}
    sign = {name: np.where(rng.random(count) < 0.5, 1, -1).astype(np.int8) for name in MODALITIES}
    agrees = rng.random(count) < dials.agreement
    lost = {name: rng.random(count) < (missing if name != "clinical" else 0.0) for name in MODALITIES}
    first, second = dials.pair
    sign[second] = np.where(agrees, sign[first] * y, -sign[first] * y).astype(np.int8)
    evidence = {name: STRENGTH * dials.within[name] * y + noise[name] for name in MODALITIES}
    return Cases(y, evidence, sign, {name: ~lost[name] for name in MODALITIES})


def log_odds(cases: Cases, dials: Dials, modalities: tuple[str, ...], *, between: bool = True) -> Array:
    """(case,) log-odds of the diagnosis, up to the prior, of an observer who reads the evidence of some modalities exactly."""
    total = np.zeros(len(cases))
    for name in modalities:
        total += np.where(cases.acquired[name], 2 * STRENGTH * dials.within[name] * cases.evidence[name], 0)
    first, second = dials.pair
    if between and {first, second} <= set(modalities):
        both = cases.acquired[first] & cases.acquired[second]
        q = dials.agreement
        total += np.where(both, np.log(q / (1 - q)) * cases.sign[first] * cases.sign[second], 0)
    return total
