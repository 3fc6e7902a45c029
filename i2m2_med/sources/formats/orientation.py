"""Where an image lies in the patient, and storage orders brought to one.

Affines are nibabel's: array axes → mm towards right, anterior, superior. Images are shown with columns towards the
patient's left (sagittal: posterior) and rows towards the head (axial: anterior), as raw data of scanners mostly lie and as
dcm2niix stores images; slices go towards superior, anterior or right. So the same anatomy gives the same array, however
it was stored.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float, Shaped

from i2m2_med.errors import SourceError

Affine = Float[np.ndarray, "4 4"]
SHOWN = {0: ("P", "S", "R"), 1: ("L", "S", "A"), 2: ("L", "A", "S")}
"""By the world axis that slices go along (right, anterior, superior): where columns, rows and slices go."""
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
UNEVEN = 0.1
"""Share of the distance between slices by which one may lie off its place."""


@dataclass(frozen=True)
class Storage:
    """How a stored array is turned to the one order. The stored plane has the axes that are not the slices', in their order."""

    slice_axis: int = 2
    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    reverse: bool = False
    """Slices are stored from last to first."""
    affine: Affine | None = None
    """(column, row, slice) of the turned image → mm; None where the format has no orientation: then it is shown as stored."""

    @property
    def turn(self) -> tuple[bool, bool, bool]:
        """Transposed, rows flipped, columns flipped, in this order."""
        return self.transpose, self.flip_rows, self.flip_columns

    def slice_number(self, shown: int, n_slices: int) -> int:
        """Which stored slice is shown at a place."""
        return n_slices - 1 - shown if self.reverse else shown


def turned(plane: Shaped[np.ndarray, "_ _"], turn: tuple[bool, bool, bool]) -> Shaped[np.ndarray, "_ _"]:
    """A stored plane as (row, column)."""
    transpose, flip_rows, flip_columns = turn
    plane = plane.T if transpose else plane
    return plane[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def storage(affine: Affine, shape: tuple[int, int, int], slice_axis: int, name: str) -> Storage:
    """How to turn an array of `shape` with `affine`. Raises SourceError where the affine is no geometry."""
    from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

    stored = io_orientation(affine) if np.isfinite(affine).all() else np.full((3, 2), np.nan)
    if np.isnan(stored).any() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise SourceError(
            f"{name}: its affine is singular or holds values that are no numbers; where it lies can't be told."
        )
    wanted = axcodes2ornt(SHOWN[int(stored[slice_axis, 0])])
    turn = ornt_transform(stored, wanted)
    goes_to, flipped = turn[:, 0].astype(int), turn[:, 1] < 0
    columns, rows = (int(np.flatnonzero(goes_to == axis)[0]) for axis in (0, 1))
    return Storage(
        slice_axis=slice_axis,
        transpose=columns < rows,
        flip_rows=bool(flipped[rows]),
        flip_columns=bool(flipped[columns]),
        reverse=bool(flipped[slice_axis]),
        affine=affine @ inv_ornt_aff(turn, shape),
    )


def letters(affine: Affine) -> tuple[str, str, str]:
    """Where columns, rows and slices of an image go: letters of R, L, A, P, S, I."""
    from nibabel.orientations import aff2axcodes

    column, row, depth = aff2axcodes(affine)
    return str(column), str(row), str(depth)


def slice_axis_of(spacing: tuple[float, float, float]) -> int:
    """The axis that slices go along, where no header says it: the one of clearly the widest spacing, else the last."""
    order = np.argsort(spacing)
    return int(order[2]) if spacing[order[2]] > 1.2 * spacing[order[1]] else 2


def affine_of_slices(
    positions: Float[np.ndarray, "slice 3"],
    axes: tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]],
    spacing: tuple[float, float],
    centre: tuple[int, int],
    thickness: float,
    name: str,
) -> Affine:
    """The affine of parallel slices: array axes (first, second, slice) → mm.

    positions: where index `centre` of each slice lies, in DICOM's coordinates (left, posterior, superior), as ISMRMRD's
    too; axes: unit vectors of the first and second axis there; spacing: mm along them; thickness: of a single slice.
    Raises SourceError where slices don't lie evenly on a line.
    """
    first, second = axes
    normal = np.cross(first, second)
    if max(abs(np.linalg.norm(first) - 1), abs(np.linalg.norm(second) - 1), abs(first @ second)) > 1e-2:
        raise SourceError(
            f"{name}: the directions of rows and columns are no right angle; where it lies can't be told."
        )
    step = normal * thickness if len(positions) == 1 else (positions[-1] - positions[0]) / (len(positions) - 1)
    expected = positions[0] + np.arange(len(positions))[:, None] * step
    if np.linalg.norm(positions - expected, axis=1).max() > UNEVEN * np.linalg.norm(step) or abs(step @ normal) < 1e-3:
        raise SourceError(f"{name}: its {len(positions)} slices don't lie evenly one behind the other.")
    affine = np.eye(4)
    affine[:3, :3] = LPS_TO_RAS @ np.stack([first * spacing[0], second * spacing[1], step], axis=1)
    affine[:3, 3] = LPS_TO_RAS @ positions[0] - affine[:3, :2] @ np.asarray(centre)
    return affine


def as_complex(plane: Shaped[np.ndarray, "_ _"]) -> Complex[np.ndarray, "_ _"]:
    """Contiguous complex64."""
    return np.ascontiguousarray(plane, np.complex64)
