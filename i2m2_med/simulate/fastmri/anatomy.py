"""A part of the body as simulators draw it: its labels, the places of their evidence, tissue in closed form, and geometry.

Coordinates: u runs down the image as radiologists see it, v across, both in half-widths of the reconstructed image, so that
the reconstruction covers [−1, 1]² and the oversampled readout [−2, 2]. As in fastMRI the rows are stored from the bottom up
(fastMRI+ boxes are drawn on the image flipped up/down).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Plane = NDArray[np.floating]
Places = Mapping[str, tuple[float, float]]
"""By label, (u, v) of a patch."""


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
    """Position of the body in the image, depth of the slice, and contrast."""

    shift: tuple[float, float]
    scale: float
    depth: float
    """Through-plane position, from −1 to 1."""
    acquisition: str


@dataclass(frozen=True)
class Protocol:
    """What a header says of how a part of the body is measured."""

    position: str
    """DICOM's code of how the patient lies."""
    pixel_mm: float
    thickness_mm: float


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """A part of the body, and the fastMRI and fastMRI+ vocabulary that goes with it."""

    name: str
    """As in `NAME.csv`, the annotations."""
    labels: tuple[str, ...]
    of_studies: frozenset[str] = frozenset()
    """Labels of whole studies: every slice has its volume's class, and annotations name the volume, without a box."""
    within: Places
    """Patches whose brightness (and whose phase) speaks for itself."""
    between: Places
    """Patches whose brightness and phase speak only together."""
    radius: float
    """Of a patch, in half-widths of the reconstructed image."""
    findings: Mapping[str, tuple[str, ...]]
    """fastMRI+ strings that the task's rules turn into each label."""
    blemish: str
    """A study-level string of fastMRI+ that is written beside the findings of one volume with the first label in its first slice."""
    normal: str | None = None
    """The study-level string for a volume without a finding, where readers write one."""
    healthy: float = 0.0
    """Share of volumes without any finding."""
    list_ends: str = "\n"
    """How the list of reviewed volumes ends."""
    acquisitions: tuple[str, ...]
    """fastMRI's names of the protocols, drawn evenly; a name may stand several times."""
    unreviewed: frozenset[str] = frozenset()
    """Protocols that no reader of fastMRI+ looked at."""
    protocol: Protocol
    tissue: Callable[[Plane, Plane, Pose, np.random.Generator], Plane]
    """(u, v, pose, random numbers) → signal without a finding (readout, phase), 0 in air, about 1 in bright tissue."""
    file_name: Callable[[int, str], str]
    """(number from 0 on, protocol) → fastMRI's name of the file, without suffix."""


def plane(geometry: Geometry, pose: Pose) -> tuple[Plane, Plane]:
    """Anatomical coordinates (u, v) of every pixel of the oversampled image, each (readout, phase)."""
    row, column = geometry.corner
    middle, unit = (geometry.size - 1) / 2, geometry.size / 2
    v, u = np.meshgrid(np.arange(geometry.phase) - column - middle, middle + row - np.arange(geometry.readout))
    return tuple(
        ((axis / unit - move) / pose.scale).astype(np.float32) for axis, move in zip((u, v), pose.shift, strict=True)
    )  # type: ignore[return-value]


def inside(distance: Plane, soft: float) -> Plane:
    """1 where `distance` is above 0, 0 below, with an edge of width `soft`."""
    return (0.5 * (1 + np.tanh(distance / soft))).astype(np.float32)


def softness(v: Plane) -> float:
    """Width of edges that the pixels can show."""
    return max(0.02, float(abs(v[0, 1] - v[0, 0])))


def texture(shape: tuple[int, int], grain: float, strength: float, rng: np.random.Generator) -> Plane:
    """Band-limited noise of standard deviation `strength` and correlation length `grain` pixels."""
    rough = gaussian_filter(rng.standard_normal(shape, np.float32), max(grain, 0.7))
    return rough * np.float32(strength / rough.std())


def patch(u: Plane, v: Plane, place: tuple[float, float], radius: float) -> Plane:
    """A disc of `radius` round `place` with a soft edge: 1 inside, 0 outside."""
    distance = np.hypot(u - place[0], v - place[1]) / radius
    return np.clip(1.5 - distance, 0, 1).astype(np.float32)


def box(geometry: Geometry, pose: Pose, place: tuple[float, float], radius: float) -> tuple[int, int, int, int]:
    """(x, y, width, height) round a patch in pixels of the reconstruction flipped up/down, as fastMRI+ draws them."""
    middle, unit = (geometry.size - 1) / 2, geometry.size / 2
    reach = radius * 1.1 * pose.scale * unit
    y, x = (middle + unit * (spot * pose.scale + move) for spot, move in zip(place, pose.shift, strict=True))
    left, top = max(0, round(x - reach)), max(0, round(y - reach))
    return left, top, min(round(2 * reach) + 1, geometry.size - left), min(round(2 * reach) + 1, geometry.size - top)
