"""NIfTI images, magnitude and phase of the same slices → complex slices.

Names: BIDS (`…_part-mag_….nii.gz`, `…_part-phase_….nii.gz`) or any two names that differ in `magnitude`/`phase` or
`mag`/`phase` only. Axes of a file: column, row, slice. Either of the two may be missing.
"""

import math
import re
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.hdf5 import MAX_BYTES
from i2m2_med.sources.formats.volume import Volume, energy

SUFFIXES = (".nii", ".nii.gz")
_PART = re.compile(r"(?:part-)?(magnitude|mag|phase)(?![a-z])", re.IGNORECASE)


def is_nifti(path: Path) -> bool:
    """By name."""
    return path.name.lower().endswith(SUFFIXES)


def part_of(path: Path) -> str | None:
    """`magnitude` or `phase`, as the name says; None where it says neither."""
    found = _PART.search(path.name) if is_nifti(path) else None
    return None if found is None else "phase" if found[1].lower() == "phase" else "magnitude"


def volume_name(path: Path) -> str:
    """What the two of a pair have in common: `sub-01_part-mag_T2w.nii.gz` → `sub-01_T2w`."""
    stem = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    return re.sub(r"_{2,}", "_", _PART.sub("", stem)).strip("_-") or "image"


def inspect_pair(magnitude: Path | None, phase: Path | None) -> Volume:
    """Read a pair, or the one that there is, and check it."""
    first = magnitude or phase
    assert first is not None
    columns, rows, slices = _shape(first)
    if magnitude and phase and _shape(phase) != (columns, rows, slices):
        raise SourceError(f"{phase.name} and {magnitude.name} differ in shape; a pair shows the same slices.")
    if phase is not None and not np.isfinite(_read(phase, ...)).all():
        raise SourceError(f"{phase.name} holds NaN or infinite values.")
    values = _read(first, ...).reshape(columns, rows, slices)
    zooms = [float(zoom) for zoom in _open(first).header.get_zooms()]
    subject = re.match(r"sub-([a-zA-Z0-9]+)", first.name)
    return Volume(
        format="nifti",
        n_slices=slices,
        n_coils=1,
        readout=rows,
        phase=columns,
        recon=(rows, columns),
        patient_id=subject[1] if subject else None,
        voxel_mm=(zooms[1], zooms[0], zooms[2] if len(zooms) > 2 else 1.0),
        has_magnitude=magnitude is not None,
        has_phase=phase is not None,
        energies=tuple(energy(values[..., index], first.name, index, "the image") for index in range(slices)),
    )


def read_pair(magnitude: Path | None, phase: Path | None, index: int) -> np.ndarray:
    """One slice as a complex image (row, column) complex64; a missing magnitude is 1, a missing phase 0."""
    if phase is None:
        assert magnitude is not None
        return _slice(magnitude, index).astype(np.complex64)
    turn = np.exp(1j * _slice(phase, index) * np.float32(_radians_per_unit(phase, phase.stat().st_mtime_ns)))
    return (turn if magnitude is None else _slice(magnitude, index) * turn).astype(np.complex64)


@lru_cache(maxsize=64)
def _radians_per_unit(phase: Path, changed: int) -> float:  # noqa: ARG001  (a file that changed is read anew)
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
        raise SourceError(f"{path.name} has the shape {tuple(shape)}; expected (column, row, slice).")
    if 8 * math.prod(shape) > MAX_BYTES:
        raise SourceError(f"{path.name} declares the shape {tuple(shape)}: more than can be read at once.")
    return shape[0], shape[1], shape[2] if len(shape) == 3 else 1


def _open(path: Path) -> Any:
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        return nibabel.load(path)
    except (OSError, ImageFileError, EOFError, zlib.error) as error:
        raise SourceError(f"{path.name} is gone, truncated or no NIfTI image. Get it again.") from error
