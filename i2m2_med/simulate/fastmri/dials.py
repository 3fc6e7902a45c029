"""The generative model of simulated fastMRI data: what each label puts into magnitude, phase and their relation.

For every slice and label with class y ∈ {0, 1} four latents are drawn, independent given y:

    magnitude m ~ N(d_m·y, 1)      d_m = SEPARATION · dial `magnitude`
    phase     p ~ N(d_p·y, 1)      d_p = SEPARATION · dial `phase`
    contrast  s uniform on ±1
    shift     t = s with probability q if y = 1, and 1 − q if y = 0;   q = ½ + AGREEMENT · dial `between`

s is drawn into the magnitude image and t into the phase image at the same place. Each of them alone is uniform under both
classes; only whether they agree says something. A dial of 0 leaves the drawing as it is and takes the meaning away.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from i2m2_med.simulate.fastmri.anatomy import Anatomy

SEPARATION = 2.0
"""Distance of the classes at dial 1, in standard deviations of the latent: a lone modality reaches AUROC Φ(2/√2) = 0.921."""
AGREEMENT = 0.48
"""At dial 1 the two signs agree (y = 1) or differ (y = 0) with probability 0.98."""
DISEASED_VOLUMES = 2 / 3
"""Share of volumes with a finding, so that volumes have two classes too; in them a run of neighbouring slices is positive."""


@dataclass(frozen=True)
class Dials:
    """Strength of the evidence in magnitude alone, in phase alone, and between the two; 0 (none) to 1."""

    magnitude: float
    phase: float
    between: float

    @property
    def agreement(self) -> float:
        """Probability that the two signs agree in a positive slice (and differ in a negative one)."""
        return 0.5 + AGREEMENT * self.between


@dataclass(frozen=True)
class Latents:
    """One volume's classes and latents; every array is (slice, label)."""

    classes: NDArray[np.int8]
    magnitude: NDArray[np.float64]
    phase: NDArray[np.float64]
    contrast: NDArray[np.int8]
    shift: NDArray[np.int8]


def draw_classes(anatomy: Anatomy, volumes: int, slices: int, prevalence: float, seed: int) -> NDArray[np.int8]:
    """Classes (volume, slice, label) with every label's share of positive slices as near to `prevalence` as counts allow.

    In a diseased volume the positive slices are neighbours (counted round the end, so that a slice's position says nothing);
    a label of whole studies is that of every slice.
    """
    rooms = _volumes_with_findings(anatomy, volumes, prevalence, seed)
    diseased = max(DISEASED_VOLUMES, prevalence * volumes / len(rooms)) if volumes > 1 else 1.0
    classes = np.zeros((volumes, slices, len(anatomy.labels)), np.int8)
    for label, name in enumerate(anatomy.labels):
        rng = np.random.default_rng([seed, 1, label])
        if name in anatomy.of_studies:
            classes[rng.permutation(rooms)[: max(1, round(prevalence * volumes))], :, label] = 1
            continue
        ill = rng.permutation(rooms)[: max(1, round(diseased * len(rooms)))]
        runs = np.diff(np.round(np.linspace(0, prevalence * volumes * slices, len(ill) + 1)).astype(int))
        for volume, run in zip(ill, rng.permutation(runs), strict=True):
            classes[volume, (rng.integers(slices) + np.arange(min(run, slices))) % slices, label] = 1
    return classes


def _volumes_with_findings(anatomy: Anatomy, volumes: int, prevalence: float, seed: int) -> NDArray[np.int64]:
    """Numbers of the volumes that may have findings; of the others as many as the anatomy says, and prevalence leaves room for."""
    healthy = int(min(anatomy.healthy, 1 - prevalence) * volumes)
    drawn = np.random.default_rng([seed, 6]).permutation(volumes)[: volumes - healthy]
    return np.sort(drawn)


def draw_latents(classes: NDArray[np.int8], dials: Dials, rng: np.random.Generator) -> Latents:
    """Latents given the classes (slice, label); the random numbers used don't depend on the dials."""
    noise_magnitude, noise_phase = rng.standard_normal((2, *classes.shape))
    contrast = np.where(rng.random(classes.shape) < 0.5, 1, -1).astype(np.int8)
    typical = rng.random(classes.shape) < dials.agreement
    agree = np.where(classes == 1, typical, ~typical)
    return Latents(
        classes=classes,
        magnitude=SEPARATION * dials.magnitude * classes + noise_magnitude,
        phase=SEPARATION * dials.phase * classes + noise_phase,
        contrast=contrast,
        shift=np.where(agree, contrast, -contrast).astype(np.int8),
    )
