"""One fastMRI HDF5 volume: what it says of itself, whether it holds what it says, and one slice of it at a time."""

from pathlib import Path

import h5py
import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.settings import Settings
from i2m2_med.sources.fastmri_header import Header, parse_header
from i2m2_med.sources.hdf5 import dataset, open_file, read_slice


class Volume(Settings):
    """Facts of one volume, as kept between runs."""

    n_slices: int
    n_coils: int
    """1 for single-coil volumes, whose k-space has no coil axis."""
    readout: int
    phase: int
    patient_id: str | None
    acquisition: str | None
    """Pulse sequence, such as CORPDFS_FBK (fat-suppressed proton density)."""
    field_strength_t: float | None
    has_rss: bool
    """`reconstruction_rss` is in the file; masked (undersampled) volumes have none."""
    masked: bool
    energies: tuple[float, ...]
    """Σ|k|² of each slice. Equal to the energy of the image (Parseval)."""

    @property
    def scale(self) -> float:
        """Root mean square of the volume's coil-combined images over the whole field of view, in the file's units."""
        return float(np.sqrt(np.mean(self.energies) / (self.readout * self.phase)))


def inspect_volume(path: Path) -> Volume:
    """Read a volume once, slice by slice, and check it. Raises SourceError with the first thing that is wrong."""
    file = open_file(path)
    kspace = checked_kspace(file)
    n_slices, n_coils, readout, phase = kspace_shape(kspace)
    header = _header(file)
    _refuse_contradiction(path.name, (n_slices, readout, phase), header)
    masked = _mask_agrees(file, phase)
    energies = tuple(_energy(read_slice(kspace, index), path.name, index) for index in range(n_slices))
    return Volume(
        n_slices=n_slices,
        n_coils=n_coils,
        readout=readout,
        phase=phase,
        patient_id=_attribute(file, "patient_id"),
        acquisition=_attribute(file, "acquisition"),
        field_strength_t=header.field_strength_t if header else None,
        has_rss="reconstruction_rss" in file,
        masked=masked,
        energies=energies,
    )


def checked_kspace(file: h5py.File) -> h5py.Dataset:
    """The k-space of a volume: (slice, [coil,] readout, phase) complex64."""
    kspace = dataset(file, "kspace")
    name = Path(file.filename).name
    if kspace.dtype != np.complex64:
        raise SourceError(f"{name}: kspace is {kspace.dtype}; expected complex64, as fastMRI stores it.")
    if kspace.ndim not in (3, 4) or 0 in kspace.shape:
        raise SourceError(f"{name}: kspace has the shape {kspace.shape}; expected (slice, [coil,] readout, phase).")
    return kspace


def kspace_shape(kspace: h5py.Dataset) -> tuple[int, int, int, int]:
    """(slice, coil, readout, phase), with one coil where the array has no coil axis."""
    shape = kspace.shape
    return (shape[0], 1, shape[1], shape[2]) if len(shape) == 3 else (shape[0], shape[1], shape[2], shape[3])


def read_kspace(path: Path, index: int) -> np.ndarray:
    """One slice of k-space, (coil, readout, phase) complex64, without reading the volume."""
    kspace = checked_kspace(open_file(path))
    if not 0 <= index < kspace.shape[0]:
        raise SourceError(f"{path.name} has {kspace.shape[0]} slices, not a slice {index}. Run `i2m2 prepare` again.")
    return read_slice(kspace, index).reshape(-1, *kspace.shape[-2:])


def read_rss(path: Path, index: int) -> np.ndarray | None:
    """One slice of the file's own root-sum-of-squares image, (height, width) float32; None where it has none."""
    file = open_file(path)
    return read_slice(dataset(file, "reconstruction_rss"), index) if "reconstruction_rss" in file else None


def _energy(kspace: np.ndarray, name: str, index: int) -> float:
    energy = float(np.vdot(kspace, kspace).real)
    if not np.isfinite(energy):
        raise SourceError(f"{name}: slice {index} of kspace holds NaN or infinite values.")
    if energy == 0:
        raise SourceError(f"{name}: slice {index} of kspace is all zero.")
    return energy


def _header(file: h5py.File) -> Header | None:
    if "ismrmrd_header" not in file:
        return None
    xml = read_slice(dataset(file, "ismrmrd_header"), ()).item()
    return parse_header(xml, Path(file.filename).name)


def _refuse_contradiction(name: str, shape: tuple[int, int, int], header: Header | None) -> None:
    """shape: (slice, readout, phase). A header that says otherwise means swapped axes or another file's header."""
    if header is None or header.encoded is None or header.encoded == shape[1:]:
        return
    said = f"the header says readout {header.encoded[0]} × phase {header.encoded[1]}"
    if header.encoded == shape[:0:-1] or header.encoded == shape[:2]:
        raise SourceError(f"{name}: kspace has its axes in another order than (slice, [coil,] readout, phase): {said}.")
    raise SourceError(f"{name}: kspace is readout {shape[1]} × phase {shape[2]}, but {said}.")


def _mask_agrees(file: h5py.File, phase: int) -> bool:
    """Whether the volume is masked. Raises SourceError for a mask of another width than the phase axis."""
    if "mask" not in file:
        return False
    mask = dataset(file, "mask")
    if mask.shape != (phase,):
        name = Path(file.filename).name
        raise SourceError(f"{name}: mask has the shape {mask.shape}, but kspace has {phase} phase-encoding columns.")
    return True


def _attribute(file: h5py.File, name: str) -> str | None:
    value = file.attrs.get(name)
    if value is None:
        return None
    return value.decode() if isinstance(value, bytes) else str(value)
