"""Pairs of NIfTI images, magnitude and phase of the same slices → complex slices.

Names: BIDS (`…_part-mag_….nii.gz`, `…_part-phase_….nii.gz`) or any two names that differ in `magnitude`/`phase` or
`mag`/`phase` only. Axes of the file: column, row, slice. A magnitude without a phase is read as magnitude alone.
"""

import math
import re
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.hdf5 import MAX_BYTES
from i2m2_med.sources.volume import Volume, energy

SUFFIXES = (".nii", ".nii.gz")
_MAGNITUDE = re.compile(r"(part-)?(magnitude|mag)(?![a-z])")


def is_nifti(path: Path) -> bool:
    """By name."""
    return path.name.endswith(SUFFIXES)


def is_magnitude(path: Path) -> bool:
    """Whether the name is of a magnitude image."""
    return is_nifti(path) and _MAGNITUDE.search(path.name) is not None


def volume_name(magnitude: Path) -> str:
    """What the pair has in common, without the part: `sub-01_part-mag_T2w.nii.gz` → `sub-01_T2w`."""
    stem = magnitude.name.removesuffix(".gz").removesuffix(".nii")
    return re.sub(r"_{2,}", "_", _MAGNITUDE.sub("", stem)).strip("_-") or stem


def phase_of(magnitude: Path) -> Path | None:
    """The phase image that belongs to a magnitude image, if it is there."""
    found = magnitude.with_name(_MAGNITUDE.sub(lambda part: f"{part[1] or ''}phase", magnitude.name))
    for candidate in (found, found.with_name(found.name.removesuffix(".gz")), found.with_name(found.name + ".gz")):
        if candidate.exists() and is_nifti(candidate):
            return candidate
    return None


def inspect_pair(magnitude: Path) -> Volume:
    """Read a pair once and check it."""
    columns, rows, slices = _shape(magnitude)
    phase = phase_of(magnitude)
    if phase is not None and _shape(phase) != (columns, rows, slices):
        raise SourceError(f"{phase.name} and {magnitude.name} differ in shape; a pair shows the same slices.")
    values = _read(magnitude, ...).reshape(columns, rows, slices)
    if phase is not None and not np.isfinite(_read(phase, ...)).all():
        raise SourceError(f"{phase.name} holds NaN or infinite values.")
    zooms = [float(zoom) for zoom in _open(magnitude).header.get_zooms()]
    subject = re.match(r"sub-([a-zA-Z0-9]+)", magnitude.name)
    return Volume(
        format="nifti",
        n_slices=slices,
        n_coils=1,
        readout=rows,
        phase=columns,
        recon=(rows, columns),
        patient_id=subject[1] if subject else None,
        voxel_mm=(zooms[1], zooms[0], zooms[2] if len(zooms) > 2 else 1.0),
        has_phase=phase is not None,
        energies=tuple(energy(values[..., index], magnitude.name, index, "the image") for index in range(slices)),
    )


def read_pair(magnitude: Path, index: int) -> np.ndarray:
    """One slice as a complex image (row, column) complex64; without a phase image its phase is zero."""
    values, phase = _slice(magnitude, index), phase_of(magnitude)
    if phase is None:
        return values.astype(np.complex64)
    angle = _slice(phase, index) * np.float32(_radians_per_unit(phase, phase.stat().st_mtime_ns))
    return (values * np.exp(1j * angle)).astype(np.complex64)


@lru_cache(maxsize=64)
def _radians_per_unit(phase: Path, changed: int) -> float:  # noqa: ARG001  (a changed file is read anew)
    """Phase images hold radians, or a scanner's integers: a turn over 4096 (0 … 4095) or 8192 (−4096 … 4095) steps."""
    values = _read(phase, ...)
    low, high = float(values.min()), float(values.max())
    if max(-low, high) <= np.pi * 1.001:
        return 1.0
    if low >= 0 and high <= 4096:
        return np.pi / 2048
    if low >= -4096 and high <= 4096:
        return np.pi / 4096
    raise SourceError(f"{phase.name} holds {low:.0f} … {high:.0f}; a phase is in radians, 0 … 4095 or −4096 … 4095.")


def _slice(path: Path, index: int) -> np.ndarray:
    """(row, column) float32 of one slice, read alone, in the file's scaled units."""
    if not 0 <= index < _shape(path)[2]:
        raise SourceError(f"{path.name} has no slice {index}. Run `i2m2 prepare` again.")
    n_axes = len(_open(path).shape)
    return _read(path, (slice(None), slice(None), index, *[0] * (n_axes - 3))[:n_axes]).T


def _read(path: Path, rows: Any) -> np.ndarray:
    try:
        return np.asarray(_open(path).dataobj[rows], np.float32)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise SourceError(f"{path.name} is truncated or damaged. Get it again.") from error


def _shape(path: Path) -> tuple[int, int, int]:
    """(column, row, slice) of a two- or three-dimensional image."""
    shape = [int(n) for n in _open(path).shape]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) not in (2, 3) or 0 in shape:
        raise SourceError(f"{path.name} has the shape {shape}; expected (column, row, slice).")
    if 8 * math.prod(shape) > MAX_BYTES:
        raise SourceError(f"{path.name} declares the shape {shape}: more than can be read at once.")
    return shape[0], shape[1], shape[2] if len(shape) == 3 else 1


def _open(path: Path) -> Any:
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        return nibabel.load(path)
    except (OSError, ImageFileError, EOFError, zlib.error) as error:
        raise SourceError(f"{path.name} is gone, truncated or no NIfTI image. Get it again.") from error
