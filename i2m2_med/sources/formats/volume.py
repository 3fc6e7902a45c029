"""One volume of any format as its file describes it: its shape, who and how it was measured, and the energy of each slice."""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from i2m2_med.config.settings import Settings
from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.geometry import Axis


class Volume(Settings):
    """Facts of one volume, as kept between runs."""

    format: Literal["fastmri", "ismrmrd", "nifti", "npy", "dicom", "cfl"]
    n_slices: int
    n_coils: int
    """1 for single-coil volumes, whose k-space has no coil axis."""
    readout: int
    """Rows of k-space, or of the image."""
    phase: int
    """Phase-encoding columns, or columns of the image."""
    recon: tuple[int, int]
    """Rows and columns that the scanner reconstructs: the readout without its oversampling."""
    step: tuple[float, float] = (1.0, 1.0)
    """A pixel of that reconstruction in pixels of the image that k-space is, along readout and phase; 1 where both are one grid."""
    patient_id: str | None = None
    acquisition: str | None = None
    """Pulse sequence, such as CORPDFS_FBK (fat-suppressed proton density)."""
    field_strength_t: float | None = None
    body_part: str | None = None
    """The part of the body examined, as the header says."""
    voxel_mm: tuple[float, float, float] | None = None
    """Row, column and slice spacing of the images as shown."""
    encoded_mm: tuple[float, float] | None = None
    """Row and column spacing of the image that k-space is, before the scanner's reconstruction."""
    affine: tuple[float, ...] | None = None
    """(column, row, slice) of the images as shown → mm, 4 × 4 row by row; None where the format has no orientation (nominal)."""
    space: int = 1
    """NIfTI's code of what `affine` is aligned to; 1 is the scanner."""
    turn: tuple[bool, bool, bool] = (False, False, False)
    """From an image as reconstructed to one as shown: transposed, rows flipped, columns flipped. Images that are read are turned already."""
    remarks: tuple[str, ...] = ()
    """Data left out, averaged or merged when the volume was read, in words."""
    has_rss: bool = False
    """The file holds its own root-sum-of-squares image; masked (undersampled) volumes do not."""
    has_magnitude: bool = True
    has_phase: bool = True
    phase_unit: str | None = None
    """Of images, what the phase is stored in; None for k-space, or where there is no phase of its own."""
    masked: bool = False
    gaps: bool = False
    """Phase-encoding lines between measured ones are empty."""
    simulated: bool = False
    """The file itself says that a simulator made it."""
    energies: tuple[float, ...]
    """Σ|x|² of each slice's image over the rows that the scanner reconstructs; 0 only for empty slices at the ends of images."""

    @property
    def filled(self) -> list[int]:
        """Numbers of the slices that hold something."""
        return [index for index, energy in enumerate(self.energies) if energy]

    @property
    def reconstructed(self) -> bool:
        """Whether the file holds images, no k-space."""
        return self.format in ("nifti", "dicom")

    @property
    def scale(self) -> float:
        """Root mean square of the coil-combined image over the reconstructed field of view, in the file's units.

        It comes from energies, so it is nearly the same for a masked volume and for the NIfTI of the same slices.
        """
        filled = [energy for energy in self.energies if energy]
        return float(np.sqrt(np.mean(filled) / (self.recon[0] * self.step[0] * self.recon[1] * self.step[1])))

    @property
    def resampled(self) -> bool:
        """Whether the reconstruction's pixels are of another size than those of k-space's image."""
        return self.step != (1.0, 1.0)

    @property
    def shown(self) -> tuple[int, int]:
        """Rows and columns of the scanner's field of view, as far as it was measured."""
        sizes = zip(self.recon, self.step, (self.readout, self.phase), strict=True)
        rows, columns = (recon if step != 1 else min(recon, measured) for recon, step, measured in sizes)
        return rows, columns


RINGING = 0.01
"""Share of a magnitude's greatest value that interpolation may leave below zero."""
EMPTY_ENDS = "empty slices at the ends"
"""The remark on images of which the outermost slices are all zero, as skull-stripping, masking and templates leave them."""


def image_energies(images: Iterable[np.ndarray], name: str, what: str) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Σ|v|² of each slice of images that were reconstructed already, and the remark where slices at the ends are all zero.

    Scanners' raw data are never zero: there an empty slice is refused wherever it lies. Raises SourceError as `energy` does, for
    an empty slice between others (it was lost), and for a volume of zeros.
    """
    energies = tuple(_finite(image, name, index, what) for index, image in enumerate(images))
    filled = np.flatnonzero(energies)
    lost = np.flatnonzero(np.equal(energies, 0.0)[filled[0] : filled[-1]]) + filled[0] if len(filled) else [0]
    if len(lost):
        between = ", between others that are not" if len(filled) else ""
        raise SourceError(f"{name}: slice {int(lost[0])} of {what} is all zero{between}.")
    return energies, (EMPTY_ENDS,) if len(filled) < len(energies) else ()


def refuse_negative(magnitude: np.ndarray, name: str) -> None:
    """Raise SourceError for a magnitude with negative values, beyond what interpolation leaves: it would lose their sign."""
    low, high = float(magnitude.min()), float(magnitude.max())
    if low < -RINGING * max(high, 0.0):
        raise SourceError(
            f"{name} holds {low:g} … {high:g}; a magnitude is not negative. Give it before it was standardised, or name the "
            "file by the part that it shows (real)."
        )


def rows_shown(axis: Axis) -> int:
    """Rows of k-space's image that lie in the reconstruction's field of view."""
    return min(axis.recon if axis.step == 1 else max(1, round(axis.recon * axis.step)), axis.samples)


def kspace_energy(kspace: np.ndarray, rows: int, name: str, index: int) -> float:
    """Energy of one slice, (coil, readout, phase), in the central `rows` of its image.

    The readout is transformed for that; the phase direction needs not be (Parseval). An oversampled readout sees limb
    that no reconstruction shows. Raises SourceError as `energy` does.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity spread over the slice, and are refused below
        image = np.fft.ifft(kspace, axis=-2, norm="ortho")
    kept = np.arange(rows) + (image.shape[-2] - rows) // 2 - image.shape[-2] // 2
    return energy(np.take(image, kept, axis=-2, mode="wrap"), name, index, "kspace")


def energy(values: np.ndarray, name: str, index: int, what: str) -> float:
    """Σ|v|² of one slice. Raises SourceError where it holds NaN or infinite values, or nothing but zeros."""
    total = _finite(values, name, index, what)
    if total == 0:
        raise SourceError(f"{name}: slice {index} of {what} is all zero.")
    return total


def _finite(values: np.ndarray, name: str, index: int, what: str) -> float:
    flat = values.ravel()
    total = float(np.vdot(flat, flat).real)
    if not np.isfinite(total):
        raise SourceError(f"{name}: slice {index} of {what} holds NaN or infinite values.")
    return total
