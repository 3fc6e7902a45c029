"""Images as NIfTI, for whatever viewer people have."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from i2m2_med.sources.formats.nifti import MADE_UP, NOMINAL

SUFFIX = ".nii.gz"
ALIGNED = 2
"""NIfTI's code for coordinates that are aligned to something, not to the scanner: where the patient lies is not known."""

SCANNER = 1
"""NIfTI's code for coordinates of the scanner."""

Affine = Float[np.ndarray, "4 4"]


def write_image(
    path: Path,
    values: np.ndarray,
    voxel_mm: tuple[float, float, float],
    affine: Affine | None = None,
    *,
    simulated: bool = False,
) -> None:
    """values: (slice, row, column) float32, voxel_mm in the order of row, column, slice → NIfTI (column, row, slice).

    Without an affine the file's axes are the image's own, centred, with rows drawn downwards, and the file says that its
    orientation is nominal. simulated: of simulated k-space; the file says so.
    """
    nominal = affine is None
    place = centred_affine(values.shape, voxel_mm) if affine is None else affine
    save_image(path, values, place, ALIGNED if nominal else SCANNER, described(nominal=nominal, simulated=simulated))


def described(*, nominal: bool, simulated: bool) -> str:
    """Return the `descrip` of an image, which goes with it wherever it is copied."""
    return ", ".join([NOMINAL] * nominal + [MADE_UP] * simulated)


def centred_affine(shape: tuple[int, ...], voxel_mm: tuple[float, float, float]) -> Affine:
    """Return (column, row, slice) → mm, zero in the middle of an image of `shape` (slice, row, column)."""
    rows, columns, slices = voxel_mm
    spacing = np.array([-columns, -rows, slices])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape[::-1]) - 1) / 2
    return affine


def cropped_affine(affine: Affine, row: int, column: int) -> Affine:
    """Return the affine of an image that begins at (row, column) of another one; before it where they are negative."""
    moved = np.eye(4)
    moved[:3, 3] = (column, row, 0)
    return affine @ moved


def save_image(path: Path, values: np.ndarray, affine: Affine, code: int, description: str = "") -> None:
    """values: (slice, row, column) → NIfTI (column, row, slice) float32."""
    import nibabel

    image = nibabel.Nifti1Image(np.ascontiguousarray(values.transpose(2, 1, 0), np.float32), affine)
    image.set_sform(affine, code=code)
    image.set_qform(affine, code=code)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description
    nibabel.save(image, path)
