"""Images that nibabel reads (NIfTI, Analyze, MGH): magnitude and phase, real and imaginary, or complex → complex slices.

Names say which part a file shows (`nifti_names.py`). Arrays are turned to one order by their affines (`orientation.py`);
where a file has none they are taken as (column, row, slice). Magnitude or phase may be missing.
"""

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.gzipped import check_gzip
from i2m2_med.sources.formats.hdf5 import MAX_BYTES
from i2m2_med.sources.formats.nifti_names import is_nifti, part_of, stem_of, volume_name
from i2m2_med.sources.formats.orientation import Storage, slice_axis_of, storage, turned
from i2m2_med.sources.formats.phase_units import Scale, phase_scale, read_sidecar
from i2m2_med.sources.formats.volume import Volume, image_energies, refuse_negative

__all__ = ["inspect_pair", "is_complex", "is_nifti", "part_of", "read_pair", "volume_name"]

NOMINAL = "orientation nominal"
"""The `descrip` of our own files where the patient's place is not known."""
MILLIMETRES = {"mm": 1.0, "unknown": 1.0, "meter": 1e3, "micron": 1e-3}
"""By NIfTI's name of a unit of length."""
MADE_UP = "simulated"
"""The last word of the `descrip` of our own files of simulated k-space."""
AS_NAMED = {"M": "magnitude", "P": "phase", "R": "real", "I": "imaginary"}
"""Values of DICOM's ImageType, as dcm2niix hands them on."""


@dataclass(frozen=True)
class Stored:
    """How one file's array lies."""

    path: Path
    shape: tuple[int, int, int]
    storage: Storage
    voxel_mm: tuple[float, float, float]
    """Row, column and slice spacing as shown."""
    code: int
    """NIfTI's code of what the affine is aligned to."""
    simulated: bool
    """The file says of itself that it was made of simulated k-space."""

    @property
    def shown(self) -> tuple[int, int, int]:
        """Rows, columns and slices."""
        first, second = (n for axis, n in enumerate(self.shape) if axis != self.storage.slice_axis)
        rows, columns = (second, first) if self.storage.transpose else (first, second)
        return rows, columns, self.shape[self.storage.slice_axis]


def inspect_pair(magnitude: Path | None, phase: Path | None, imaginary: Path | None = None) -> Volume:
    """Read the files of a volume and check them. With `imaginary`, `magnitude` is the real part."""
    parts = [path for path in (magnitude, phase, imaginary) if path is not None]
    first, *others = (_stored(path) for path in parts)
    for other in others:
        _refuse_elsewhere(first, other)
    _refuse_other_part(magnitude, phase, imaginary)
    rows, columns, n_slices = first.shown
    unit = None if phase is None else _radians(phase).unit
    where = first.storage.affine
    whole = imaginary is not None or _is_complex(first.path)
    images = (_seen(magnitude, phase, imaginary, index) for index in range(n_slices))
    energies, remarks = image_energies(images, first.path.name, "the image")
    if magnitude is not None and not whole:
        for index in range(n_slices):
            refuse_negative(_plane(first, index), magnitude.name)
    for other in [] if imaginary is not None else others:
        for index in range(n_slices):
            _refuse_no_numbers(other.path, _plane(other, index), index)
    subject = first.path.name.split("_")[0].removeprefix("sub-") if first.path.name.startswith("sub-") else None
    return Volume(
        format="nifti",
        n_slices=n_slices,
        n_coils=1,
        readout=rows,
        phase=columns,
        recon=(rows, columns),
        patient_id=stem_of(Path(subject)) if subject else None,
        voxel_mm=first.voxel_mm,
        affine=None if where is None else tuple(where.ravel().tolist()),
        space=first.code,
        phase_unit=unit,
        has_magnitude=whole or magnitude is not None,
        has_phase=whole or phase is not None,
        remarks=remarks,
        simulated=first.simulated or any(other.simulated for other in others),
        energies=energies,
    )


def read_pair(magnitude: Path | None, phase: Path | None, index: int, imaginary: Path | None = None) -> np.ndarray:
    """One slice as a complex image (row, column) complex64; a missing magnitude is 1, a missing phase 0."""
    if imaginary is not None:
        assert magnitude is not None
        return (_slice(magnitude, index) + 1j * _slice(imaginary, index)).astype(np.complex64)
    if phase is None:
        assert magnitude is not None
        return _slice(magnitude, index).astype(np.complex64)
    scale = _radians(phase)
    turn = np.exp(1j * (_slice(phase, index) * np.float32(scale.slope) + np.float32(scale.offset)))
    return (turn if magnitude is None else _slice(magnitude, index) * turn).astype(np.complex64)


def is_complex(path: Path) -> bool:
    """Whether an image holds complex values; False where it can't be opened."""
    try:
        return _is_complex(path)
    except SourceError:
        return False


def _seen(magnitude: Path | None, phase: Path | None, imaginary: Path | None, index: int) -> np.ndarray:
    """Return the slice that a volume's scale comes from: magnitude, complex image, or a phase that came alone (in the file's units)."""
    if imaginary is not None:
        return read_pair(magnitude, None, index, imaginary)
    first = magnitude or phase
    assert first is not None
    return _slice(first, index)


def _refuse_elsewhere(first: Stored, other: Stored) -> None:
    """Raise SourceError where two files of one volume don't show the same place."""
    if first.shown != other.shown:
        raise SourceError(f"{other.path.name} and {first.path.name} differ in shape; a pair shows the same slices.")
    one, two = first.storage.affine, other.storage.affine
    if (one is None) != (two is None) or (one is not None and two is not None and not _same_place(one, two)):
        raise SourceError(f"{other.path.name} and {first.path.name} lie in different places by their affines.")


def _same_place(one: np.ndarray, two: np.ndarray) -> bool:
    """To a tenth of a voxel."""
    return bool(np.abs(one - two).max() <= 0.1 * np.linalg.norm(one[:3, :3], axis=0).min())


def _refuse_other_part(magnitude: Path | None, phase: Path | None, imaginary: Path | None) -> None:
    """Raise SourceError where a sidecar says that a file shows another part than it is taken for."""
    taken = {"real" if imaginary else "magnitude": magnitude, "phase": phase, "imaginary": imaginary}
    for part, path in taken.items():
        if path is None:
            continue
        words = {str(word).upper() for word in read_sidecar(path, stem_of(path)).get("ImageType") or ()}
        named_parts = [AS_NAMED[word] for word in words if word in AS_NAMED]
        if len(named_parts) == 1 and named_parts[0] != part:
            raise SourceError(f"{path.name} is taken for the {part}, but ImageType in its .json says {named_parts[0]}.")
        if part_of(path) and _is_complex(path):
            raise SourceError(f"{path.name} holds complex values, but its name says {part_of(path)}.")


def _radians(phase: Path) -> Scale:
    return _known_scale(phase, phase.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _known_scale(phase: Path, changed: int) -> Scale:  # noqa: ARG001  (a file that changed is read anew)
    """Its sidecar's `Units` decide, else the range that its values fill."""
    stored = _stored(phase)
    planes = [_plane(stored, index) for index in range(stored.shown[2])]
    for index, plane in enumerate(planes):
        _refuse_no_numbers(phase, plane, index)
    units = read_sidecar(phase, stem_of(phase)).get("Units")
    low, high = min(float(plane.min()) for plane in planes), max(float(plane.max()) for plane in planes)
    return phase_scale(low, high, None if units is None else str(units), phase.name)


def _refuse_no_numbers(path: Path, plane: np.ndarray, index: int) -> None:
    if not np.isfinite(plane).all():
        raise SourceError(f"{path.name} holds NaN or infinite values (slice {index}).")


def _slice(path: Path, index: int) -> np.ndarray:
    """(row, column) float32 or complex64 of one slice as shown, read alone, in the file's scaled units."""
    stored = _stored(path)
    if not 0 <= index < stored.shown[2]:
        raise SourceError(f"{path.name} has no slice {index}. Run `i2m2 prepare` again.")
    return np.ascontiguousarray(_plane(stored, index))


def _plane(stored: Stored, index: int) -> np.ndarray:
    rows: list[Any] = [slice(None)] * 3
    rows[stored.storage.slice_axis] = stored.storage.slice_number(index, stored.shown[2])
    n_axes = len(_open(stored.path).shape)
    if n_axes == 2:
        rows = rows[:2]
    plane = _read(stored.path, tuple(rows) + (0,) * (n_axes - 3))
    return turned(plane, stored.storage.turn)


def _read(path: Path, rows: Any) -> np.ndarray:
    check_gzip(path)
    try:
        return np.asarray(_open(path).dataobj[rows], np.complex64 if _is_complex(path) else np.float32)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise SourceError(f"{path.name} is truncated or damaged. Get it again.") from error


def _is_complex(path: Path) -> bool:
    return _open(path).get_data_dtype().kind == "c"


def _stored(path: Path) -> Stored:
    """Shape and orientation of a two- or three-dimensional image; refuses what holds more, or colours."""
    image = _open(path)
    shape = _shape(path, image)
    unit = _length_unit(path, image)
    spacing = [unit * float(zoom) for zoom in image.header.get_zooms()[:3]]
    spacing += [1.0] * (3 - len(spacing))
    if not all(math.isfinite(zoom) and zoom > 0 for zoom in spacing):
        raise SourceError(f"{path.name} gives its pixels a size of {_product(spacing)} mm.")
    axis = _slice_axis(image, shape, (spacing[0], spacing[1], spacing[2]))
    code = _code(image)
    affine = np.diag([unit, unit, unit, 1.0]) @ np.asarray(image.affine, float)
    turn = storage(affine, shape, axis, path.name) if code else Storage(axis, transpose=True)
    if code:
        _refuse_disagreeing(path, image, affine, spacing)
        _refuse_skewed(path, np.delete(affine[:3, :3], axis, axis=1))
    first, second = (spacing[other] for other in range(3) if other != axis)
    rows, columns = (second, first) if turn.transpose else (first, second)
    return Stored(path, shape, turn, (rows, columns, spacing[axis]), code, _description(image).endswith(MADE_UP))


def _length_unit(path: Path, image: Any) -> float:
    """How many millimetres the header's unit of length is; files that say none, and other formats, are in millimetres."""
    if not hasattr(image.header, "get_xyzt_units"):
        return 1.0
    try:
        return MILLIMETRES[image.header.get_xyzt_units()[0]]
    except KeyError as error:
        raise SourceError(f"{path.name} gives lengths in a unit that NIfTI does not know.") from error


def _refuse_disagreeing(path: Path, image: Any, affine: np.ndarray, spacing: list[float]) -> None:
    """Raise SourceError where the pixel size is not that of the affine, or sform and qform turn the image differently."""
    from nibabel.orientations import aff2axcodes

    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if np.abs(lengths / spacing - 1).max() > 0.01:
        raise SourceError(
            f"{path.name} gives its pixels a size of {_product(spacing)} mm (pixdim), its affine one of {_product(lengths)} mm."
        )
    if "sform_code" not in image.header or not (image.header["sform_code"] and image.header["qform_code"]):
        return
    one, two = ("".join(map(str, aff2axcodes(form))) for form in (image.get_sform(), image.get_qform()))
    if one != two:
        raise SourceError(
            f"{path.name}: by its sform its axes go to {one}, by its qform to {two}; where it lies can't be told."
        )


def _refuse_skewed(path: Path, plane: np.ndarray) -> None:
    """Raise SourceError where rows and columns, (3, 2) mm, are at no right angle."""
    first, second = (plane / np.linalg.norm(plane, axis=0)).T
    if abs(first @ second) > 1e-2:
        raise SourceError(f"{path.name}: by its affine rows and columns are at no right angle; resample it first.")


def _product(lengths: Iterable[float]) -> str:
    return " × ".join(f"{length:.4g}" for length in lengths)


def _slice_axis(image: Any, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> int:
    """The axis that slices go along: as the header says, else by shape and spacing."""
    axis = image.header.get_dim_info()[2] if hasattr(image.header, "get_dim_info") else None
    if axis is not None:
        return int(axis)
    return 2 if shape[2] == 1 or not _code(image) else slice_axis_of(spacing)


def _code(image: Any) -> int:
    """NIfTI's code of what the affine is aligned to; 0 where the file has no orientation."""
    header = image.header
    if "goodRASFlag" in header:
        return int(header["goodRASFlag"] > 0)
    if "sform_code" not in header or _description(image).startswith(NOMINAL):
        return 0
    return int(header["sform_code"]) or int(header["qform_code"])


def _description(image: Any) -> str:
    """The free text of a header; empty where the format has none."""
    return str(np.char.decode(image.header["descrip"], "latin-1")) if "descrip" in image.header else ""


def _shape(path: Path, image: Any) -> tuple[int, int, int]:
    """As stored, a slice axis of 1 added to a single plane."""
    dtype = image.get_data_dtype()
    if dtype.fields is not None or dtype.kind not in "fiubc":
        raise SourceError(f"{path.name} holds colours or {dtype}, not a number per pixel.")
    shape = [int(n) for n in image.shape]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) > 3:
        raise SourceError(
            f"{path.name} holds {math.prod(shape[3:])} volumes (shape {tuple(shape)}); give one file for each."
        )
    if len(shape) not in (2, 3) or 0 in shape:
        raise SourceError(f"{path.name} has the shape {tuple(shape)}; expected (column, row, slice).")
    if 8 * math.prod(shape) > MAX_BYTES:
        raise SourceError(f"{path.name} declares the shape {tuple(shape)}: more than can be read at once.")
    return shape[0], shape[1], shape[2] if len(shape) == 3 else 1


def _open(path: Path) -> Any:
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        return nibabel.load(path)
    except (OSError, ImageFileError, EOFError, zlib.error, ValueError) as error:
        raise SourceError(f"{path.name} is gone, truncated or no NIfTI image. Get it again.") from error
