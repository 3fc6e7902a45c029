"""From matrices and fields of view to the size of a pixel: where the reconstruction's grid lies on that of k-space.

k-space of n samples 1 / FOV apart is an image of n pixels of FOV / n. A scanner reconstructs onto another grid: it crops
the field of view (oversampling) and may interpolate by zero-filling. Where pixels of the two grids are of one size, as in
fastMRI, the reconstruction is a crop of the image; otherwise the image is sampled at the reconstruction's pixels, which
is what zero-filling, transforming and cropping to millimetres would give.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.ismrmrd_header import Encoding

AXES = ("readout", "phase", "partition")
DRIFT = 0.5
"""Pixels by which the two grids may run apart over the field of view and still count as one."""


@dataclass(frozen=True)
class Axis:
    """One axis of k-space as stored, and of the reconstruction."""

    samples: int
    pixel_mm: float
    """Of the image that k-space is without any zero-filling."""
    recon: int
    """Pixels of the reconstruction."""
    recon_mm: float
    """Its pixel."""

    @property
    def step(self) -> float:
        """The reconstruction's pixel in pixels of k-space's image; exactly 1 where the two are the same grid."""
        ratio = self.recon_mm / self.pixel_mm
        return 1.0 if abs(ratio - 1) * min(self.recon, self.samples) <= DRIFT else ratio

    @property
    def shown(self) -> int:
        """Pixels of the reconstruction, as far as it was measured."""
        return self.recon if self.step != 1 else min(self.recon, self.samples)

    @property
    def centre(self) -> int:
        """Which of them lies at the centre of the field of view: a crop begins at (n - size) // 2."""
        if self.step != 1:
            return self.recon // 2
        return self.samples // 2 - (self.samples - self.shown) // 2

    @property
    def first_position(self) -> float:
        """Where the first of them lies, in pixels of k-space's image from its centre."""
        return -self.centre * self.step


def stored_axis(
    encoding: Encoding, number: int, samples: int, name: str, empty_beyond: Callable[[int], bool] = lambda _: False
) -> Axis:
    """Axis `number` (readout, phase, partition) of k-space that is stored with `samples`.

    As many samples as the header encodes, or as many as it counts steps: the field of view is the encoded one. More, all
    empty beyond the encoded ones (`empty_beyond(n)`): zero-filled, the field of view is the same. Fewer, which cover just
    the reconstruction's field of view: the oversampling was removed. Anything else is refused: a pixel's size would be a guess.
    """
    encoded, fov = encoding.encoded.matrix[number], encoding.encoded.fov_mm[number]
    recon, pixel = encoding.recon.matrix[number], encoding.encoded.pixel_mm(number)
    if (samples > encoded and empty_beyond(encoded)) or (number > 0 and samples == _counted(encoding, number)):
        pixel = fov / samples
    elif samples != encoded and not _oversampling_removed(encoding, number, samples):
        raise SourceError(
            f"{name}: kspace has {samples} samples along {AXES[number]}, but the header says {encoded} over {fov:g} mm, "
            f"reconstructed to {recon} over {encoding.recon.fov_mm[number]:g} mm; the size of a pixel can't be told."
        )
    return Axis(samples, pixel, recon, encoding.recon.pixel_mm(number))


def empty_beyond(kspace: np.ndarray, axis: int, kept: int) -> bool:
    """Whether k-space holds nothing but zeros along `axis` outside `kept` samples about its centre (index n // 2)."""
    position = np.arange(kspace.shape[axis]) - kspace.shape[axis] // 2
    outside = np.flatnonzero((position < -(kept // 2)) | (position >= kept - kept // 2))
    return not np.take(kspace, outside, axis=axis).any()


def _counted(encoding: Encoding, number: int) -> int | None:
    """Steps that the header counts along phase or partition, where they lie about the centre of k-space."""
    steps, centre = encoding.steps[number - 1], encoding.centres[number - 1]
    return steps if steps is not None and centre == steps // 2 else None


def _oversampling_removed(encoding: Encoding, number: int, samples: int) -> bool:
    """Whether fewer samples than encoded are just those of the reconstruction's field of view."""
    pixel = encoding.encoded.pixel_mm(number)
    return samples < encoding.encoded.matrix[number] and abs(samples * pixel - encoding.recon.fov_mm[number]) <= pixel
