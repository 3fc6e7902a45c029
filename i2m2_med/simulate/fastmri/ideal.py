"""The AUROC that an ideal observer of one slice reaches, computed from the generative model of `dials`.

The observer knows the model, the dials, the anatomy, its texture and the background phase; all it does not know is the
class, the latents and the noise of the image. It reads a latent from the patch by the matched filter, whose error has the
variance (in squared units of the latent, a = coefficient of the latent in log-image, b = patch, x = noise-free image)

    τ² = NOISE² / (a² Σ |x|² b²)

so m and p are read as N(d·y, 1 + τ²), and a sign is misread with probability Φ(−1/τ). With D² = Σ d²/(1 + τ²) over the
latents that a paradigm reads and q the probability that the signs, as read, agree, the log-likelihood ratio is
N(±D²/2, D²) plus ±L, L = log(q/(1 − q)). Two slices of different class are ranked right with probability

    AUROC = q² Φ((D² + 2L)/√2D) + 2q(1 − q) Φ(D/√2) + (1 − q)² Φ((D² − 2L)/√2D)

(ties count half where D = 0, which leaves q). `unimodal_*` reads one latent, `intra` is the product of the unimodal
posteriors, so it reads m and p; `inter` and `i2m2` read everything: no observer of both images does better.
"""

from dataclasses import asdict, astuple, dataclass
from math import hypot, log, sqrt
from typing import Any

import numpy as np
from scipy.stats import norm, rankdata

from i2m2_med.simulate.fastmri.acquisition import (
    CONTRAST,
    NOISE,
    SHIFT,
    SIGN_CONTRAST,
    SIGN_SHIFT,
    Complex,
    draw_examination,
    draw_slice,
)
from i2m2_med.simulate.fastmri.anatomy import Anatomy, Geometry, patch, plane
from i2m2_med.simulate.fastmri.dials import SEPARATION, Dials, Latents

CALIBRATION_SLICES = 4
OF_OTHERS = "Each label is read by its own evidence: that of other labels tells a healthy volume from another, and adds a little."


@dataclass(frozen=True)
class PatchNoise:
    """Standard deviation τ of each latent as read from the image, in units of the latent."""

    magnitude: float
    phase: float
    contrast: float
    shift: float


def ideal_auroc(noise: PatchNoise, dials: Dials) -> dict[str, float]:
    """AUROC of the ideal observer of one label, by paradigm.

    >>> nothing = PatchNoise(0.0, 0.0, 0.0, 0.0)
    >>> ideal_auroc(nothing, Dials(magnitude=0.0, phase=0.0, between=1.0))["unimodal_phase"]
    0.5
    """
    return {name: auroc(*evidence) for name, evidence in evidence_of(noise, dials).items()}


def ideal_nats(noise: PatchNoise, dials: Dials, share: float) -> dict[str, float]:
    """Information of the same observer on one label in nats, by paradigm: entropy of the label minus the observer's loss.

    share: of slices with the finding.
    """
    return {name: information(*evidence, share) for name, evidence in evidence_of(noise, dials).items()}


def evidence_of(noise: PatchNoise, dials: Dials) -> dict[str, tuple[float, float]]:
    """By paradigm, the distance D between the classes' means and the agreement q of signs, as read; see the module."""
    magnitude = SEPARATION * dials.magnitude / sqrt(1 + noise.magnitude**2)
    phase = SEPARATION * dials.phase / sqrt(1 + noise.phase**2)
    slips = [float(norm.cdf(-1 / tau)) if tau else 0.0 for tau in (noise.contrast, noise.shift)]
    blur = (1 - 2 * slips[0]) * (1 - 2 * slips[1])
    everything = hypot(magnitude, phase), 0.5 + (dials.agreement - 0.5) * blur
    return {
        "unimodal_magnitude": (magnitude, 0.5),
        "unimodal_phase": (phase, 0.5),
        "intra": (hypot(magnitude, phase), 0.5),
        "inter": everything,
        "i2m2": everything,
    }


def information(distance: float, agreement: float, share: float) -> float:
    """Nats that the likelihood ratio tells of a label of which `share` are positive, by Gauss and Hermite's quadrature.

    >>> information(0.0, 0.5, 0.3), round(information(9.0, 0.5, 0.5), 3)
    (0.0, 0.693)
    """
    if not 0 < share < 1:
        return 0.0
    places, weights = np.polynomial.hermite_e.hermegauss(80)
    odds, prior, loss = log(agreement / (1 - agreement)), log(share / (1 - share)), 0.0
    for truth, part in ((1, share), (-1, 1 - share)):
        for sign, chance in ((1, agreement), (-1, 1 - agreement)):
            ratio = truth * (distance**2 / 2 + sign * odds) + distance * places
            loss += part * chance * float(weights @ np.logaddexp(0, -truth * (ratio + prior))) / weights.sum()
    entropy = -share * log(share) - (1 - share) * log(1 - share)
    return round(max(0.0, entropy - loss), 4)


def auroc(distance: float, agreement: float = 0.5) -> float:
    """AUROC of the likelihood ratio with `distance` D between the classes' means and sign agreement q; see the module."""
    if distance == 0:
        return round(agreement, 4)
    both, one, none = agreement**2, 2 * agreement * (1 - agreement), (1 - agreement) ** 2
    odds = log(agreement / (1 - agreement))
    gains = (both, distance**2 + 2 * odds), (one, distance**2), (none, distance**2 - 2 * odds)
    return round(sum(share * float(norm.cdf(gain / (sqrt(2) * distance))) for share, gain in gains), 4)


def patch_noise(anatomy: Anatomy, geometry: Geometry, coils: Complex, seed: int) -> dict[str, PatchNoise]:
    """τ by label, from the noise-free signal in the patches of a few slices drawn for this purpose."""
    energy = np.zeros((len(anatomy.labels), 2))
    power = (np.abs(coils) ** 2).sum(axis=0)
    for number in range(CALIBRATION_SLICES):
        rng = np.random.default_rng([seed, 2, number])
        examination, depth = draw_examination(anatomy, geometry, 1.0, rng), float(rng.uniform(-1, 1))
        signal = np.abs(draw_slice(examination, None, 0, depth, rng)) ** 2 * power
        u, v = plane(geometry, examination.pose(depth))
        for row, label in enumerate(anatomy.labels):
            for column, places in enumerate((anatomy.within, anatomy.between)):
                energy[row, column] += (
                    signal * patch(u, v, places[label], anatomy.radius) ** 2
                ).sum() / CALIBRATION_SLICES
    within, between = (NOISE / np.sqrt(energy)).T.tolist()
    return {
        label: PatchNoise(
            within[row] / CONTRAST, within[row] / SHIFT, between[row] / SIGN_CONTRAST, between[row] / SIGN_SHIFT
        )
        for row, label in enumerate(anatomy.labels)
    }


def log_likelihood_ratio(latents: Latents, dials: Dials) -> dict[str, np.ndarray]:
    """log p(latents | 1) − log p(latents | 0) by paradigm, shaped as the latents, which are read without error."""
    d_m, d_p = SEPARATION * dials.magnitude, SEPARATION * dials.phase
    alone = {
        "unimodal_magnitude": d_m * latents.magnitude - d_m**2 / 2,
        "unimodal_phase": d_p * latents.phase - d_p**2 / 2,
    }
    odds = log(dials.agreement / (1 - dials.agreement))
    intra = alone["unimodal_magnitude"] + alone["unimodal_phase"]
    everything = intra + odds * latents.contrast * latents.shift
    return {**alone, "intra": intra, "inter": everything, "i2m2": everything}


def drawn_auroc(scores: np.ndarray, classes: np.ndarray) -> float | None:
    """AUROC (ties count half) of `scores` for the `classes` that were drawn; None where they are all the same."""
    positive = int((classes == 1).sum())
    negative = len(classes) - positive
    if not positive or not negative:
        return None
    ranks = float(rankdata(scores)[classes == 1].sum())
    return round((ranks - positive * (positive + 1) / 2) / (positive * negative), 4)


def report(anatomy: Anatomy, noise: dict[str, PatchNoise], dials: Dials, drawn: list[Latents]) -> dict[str, Any]:
    """Return the content of `ideal.json`: AUROC by label and paradigm, of the model and on the slices that were drawn."""
    whole = Latents(*(np.concatenate(parts) for parts in zip(*(astuple(latents) for latents in drawn), strict=True)))
    ratios = log_likelihood_ratio(whole, dials)
    apart = " " + OF_OTHERS if anatomy.healthy else ""
    return {
        "auroc": {label: ideal_auroc(of_label, dials) for label, of_label in noise.items()},
        "nats": {
            label: ideal_nats(of_label, dials, float((whole.classes[:, row] == 1).mean()))
            for row, (label, of_label) in enumerate(noise.items())
        },
        "drawn_auroc": {
            label: {name: drawn_auroc(ratio[:, row], whole.classes[:, row]) for name, ratio in ratios.items()}
            for row, label in enumerate(noise)
        },
        "explained": "`auroc` and `nats`: per slice, of an observer who knows the generative model and reads the noisy image, computed "
        "(i2m2_med.simulate.fastmri.ideal). `drawn_auroc`: the same observer, without noise, on the slices of this data set."
        + apart,
        "dials": asdict(dials),
        "patch_noise": {
            label: {key: round(tau, 4) for key, tau in asdict(tau_of).items()} for label, tau_of in noise.items()
        },
    }
