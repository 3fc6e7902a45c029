"""A coronal knee in closed form: tissues with texture, and the places where each label's evidence is drawn.

Coordinates: u runs from the thigh (−) to the shin (+), v across the leg, both in half-widths of the reconstructed image,
so that the reconstruction covers [−1, 1]² and the oversampled readout [−2, 2]. As in fastMRI the stored rows run from shin
to thigh (fastMRI+ boxes are drawn on the image flipped up/down).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Plane = NDArray[np.floating]

WITHIN = {"abnormal": (0.58, -0.4), "meniscus_tear": (0.1, -0.68), "acl": (-0.2, 0.0), "cartilage": (-0.42, -0.5)}
"""(u, v) of the patch whose brightness (and whose phase) speaks for itself."""
BETWEEN = {"abnormal": (0.58, 0.4), "meniscus_tear": (0.1, 0.68), "acl": (0.22, 0.0), "cartilage": (-0.42, 0.5)}
"""(u, v) of the patch whose brightness and phase speak only together."""
RADIUS = 0.16
"""Radius of a patch, in half-widths of the reconstructed image."""


@dataclass(frozen=True)
class Geometry:
    """Matrix of the k-space and where the square reconstruction lies in its image."""

    readout: int
    phase: int

    @property
    def size(self) -> int:
        """Rows and columns of the reconstruction: the readout is oversampled twice."""
        return self.readout // 2

    @property
    def corner(self) -> tuple[int, int]:
        """First row and column of the centre crop."""
        return (self.readout - self.size) // 2, (self.phase - self.size) // 2

    def crop(self, image: NDArray[Any]) -> NDArray[Any]:
        """Centre crop of the last two axes, as `fastmri.data.transforms.center_crop` takes it."""
        row, column = self.corner
        return image[..., row : row + self.size, column : column + self.size]


@dataclass(frozen=True)
class Pose:
    """Position of a leg in the image, depth of the slice, and contrast."""

    shift: tuple[float, float]
    scale: float
    depth: float
    """Through-plane position, −1 (back) to 1 (front)."""
    fat_suppressed: bool


def plane(geometry: Geometry, pose: Pose) -> tuple[Plane, Plane]:
    """Anatomical coordinates (u, v) of every pixel of the oversampled image, each (readout, phase)."""
    row, column = geometry.corner
    middle, unit = (geometry.size - 1) / 2, geometry.size / 2
    v, u = np.meshgrid(np.arange(geometry.phase) - column - middle, middle + row - np.arange(geometry.readout))
    return tuple(
        ((axis / unit - move) / pose.scale).astype(np.float32) for axis, move in zip((u, v), pose.shift, strict=True)
    )  # type: ignore[return-value]


def tissue(u: Plane, v: Plane, pose: Pose, rng: np.random.Generator) -> Plane:
    """Signal of the healthy knee (readout, phase), 0 in air, about 1 in bright tissue, with texture that no slice repeats."""
    soft = max(0.02, float(abs(v[0, 1] - v[0, 0])))
    fat, marrow = (0.45, 0.5) if pose.fat_suppressed else (1.0, 0.8)
    condyle = 1 - 0.12 * pose.depth**2

    def inside(distance: Plane) -> Plane:
        return (0.5 * (1 + np.tanh(distance / soft))).astype(np.float32)

    leg = inside(1.02 + 0.04 * np.cos(3 * u) - np.abs(v))
    muscle = inside(0.9 + 0.04 * np.cos(3 * u) - np.abs(v))
    shaft = inside(0.32 + 0.4 * np.exp(-(((np.abs(u) - 0.5) / 0.3) ** 2)) - np.abs(v)) * inside(np.abs(u) - 0.45)
    knobs = inside(0.42 * condyle - np.hypot((u + 0.36), (np.abs(v) - 0.42 * condyle)))
    plateau = inside(0.78 - 0.3 * (u - 0.2) - np.abs(v)) * inside(u - 0.24) * inside(0.85 - u)
    bone = np.maximum(np.maximum(shaft, knobs), plateau)
    joint = inside(0.16 - np.abs(u - 0.1)) * inside(0.85 - np.abs(v))
    meniscus = inside(0.13 - np.abs(u - 0.1) - 0.4 * np.maximum(0.85 - np.abs(v), 0) + 0.1) * joint
    cord = inside(0.07 - np.abs(v + 0.35 * (u - 0.05))) * inside(0.42 - np.abs(u))

    signal = leg * fat
    for mask, brightness in ((muscle, 0.6), (joint, 0.85), (bone, marrow), (meniscus, 0.5), (cord, 0.55)):
        signal += mask * (brightness - signal)
    rim = bone * (1 - bone) * 4
    signal *= 1 - 0.5 * rim
    return (signal * (1 + texture(u.shape, 0.02 * u.shape[0] / 4, 0.05, rng))).astype(np.float32)


def texture(shape: tuple[int, int], grain: float, strength: float, rng: np.random.Generator) -> Plane:
    """Band-limited noise of standard deviation `strength` and correlation length `grain` pixels."""
    rough = gaussian_filter(rng.standard_normal(shape, np.float32), max(grain, 0.7))
    return rough * np.float32(strength / rough.std())


def patch(u: Plane, v: Plane, place: tuple[float, float]) -> Plane:
    """A disc of `RADIUS` round `place` with a soft edge: 1 inside, 0 outside."""
    distance = np.hypot(u - place[0], v - place[1]) / RADIUS
    return np.clip(1.5 - distance, 0, 1).astype(np.float32)


def box(geometry: Geometry, pose: Pose, place: tuple[float, float]) -> tuple[int, int, int, int]:
    """(x, y, width, height) round a patch in pixels of the reconstruction flipped up/down, as fastMRI+ draws them."""
    middle, unit = (geometry.size - 1) / 2, geometry.size / 2
    reach = RADIUS * 1.1 * pose.scale * unit
    y, x = (middle + unit * (spot * pose.scale + move) for spot, move in zip(place, pose.shift, strict=True))
    left, top = max(0, round(x - reach)), max(0, round(y - reach))
    return left, top, min(round(2 * reach) + 1, geometry.size - left), min(round(2 * reach) + 1, geometry.size - top)
