"""One fastMRI HDF5 volume: what it says of itself, whether it holds what it says, and one slice of it at a time."""

from functools import partial
from pathlib import Path

import h5py
import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.geometry import Axis, empty_beyond, stored_axis
from i2m2_med.sources.formats.hdf5 import OpenFile, open_file
from i2m2_med.sources.formats.ismrmrd_header import Encoding, Header, parse_header
from i2m2_med.sources.formats.volume import Volume, kspace_energy, rows_shown


def inspect_volume(path: Path) -> Volume:
    """Read a volume once, slice by slice, and check it. Raises SourceError with the first thing that is wrong."""
    file = open_file(path)
    n_slices, n_coils, readout, phase = kspace_shape(checked_kspace(file))
    header = _header(file)
    _refuse_swapped(path.name, (n_slices, n_coils, readout, phase), header)
    axes = header and _axes(file, header.encodings[0], n_slices)
    rows = rows_shown(axes[0]) if axes else readout
    return Volume(
        format="fastmri",
        n_slices=n_slices,
        n_coils=n_coils,
        readout=readout,
        phase=phase,
        recon=(axes[0].recon, axes[1].recon) if axes else (readout, phase),
        step=(axes[0].step, axes[1].step) if axes else (1.0, 1.0),
        patient_id=file.attribute("patient_id"),
        acquisition=file.attribute("acquisition"),
        field_strength_t=header and header.field_strength_t,
        body_part=header and header.body_part,
        voxel_mm=(axes[0].recon_mm, axes[1].recon_mm, header.encodings[0].recon.pixel_mm(2))
        if header and axes
        else None,
        encoded_mm=(axes[0].pixel_mm, axes[1].pixel_mm) if axes else None,
        has_rss=_has_rss(file, n_slices, (readout, phase), axes),
        masked=_mask_agrees(file, phase),
        simulated=header is not None and header.simulated,
        energies=tuple(kspace_energy(kspace_slice(file, index), rows, path.name, index) for index in range(n_slices)),
    )


def _axes(file: OpenFile, encoding: Encoding, n_slices: int) -> tuple[Axis, Axis]:
    """Readout and phase. Raises SourceError where the size of a pixel can't be told."""
    sizes = file.array("kspace").shape[-2:]

    def empty(axis: int, kept: int) -> bool:
        slices = (kspace_slice(file, index) for index in range(n_slices))
        return all(empty_beyond(kspace, axis - 2, kept) for kspace in slices)

    readout, phase = (stored_axis(encoding, axis, sizes[axis], file.name, partial(empty, axis)) for axis in (0, 1))
    return readout, phase


def checked_kspace(file: OpenFile) -> h5py.Dataset:
    """The k-space of a volume: (slice, [coil,] readout, phase), complex of either precision and byte order."""
    kspace = file.array("kspace")
    if kspace.dtype.kind != "c" or kspace.dtype.itemsize not in (8, 16):
        raise SourceError(f"{file.name}: kspace is {kspace.dtype}; expected complex64, as fastMRI stores it.")
    if kspace.ndim not in (3, 4) or 0 in kspace.shape:
        raise SourceError(
            f"{file.name}: kspace has the shape {kspace.shape}; expected (slice, [coil,] readout, phase)."
        )
    return kspace


def kspace_shape(kspace: h5py.Dataset) -> tuple[int, int, int, int]:
    """(slice, coil, readout, phase), with one coil where the array has no coil axis."""
    shape = kspace.shape
    return (shape[0], 1, shape[1], shape[2]) if len(shape) == 3 else (shape[0], shape[1], shape[2], shape[3])


def read_kspace(path: Path, index: int) -> np.ndarray:
    """One slice of k-space, (coil, readout, phase) complex64, without reading the volume."""
    file = open_file(path)
    kspace = checked_kspace(file)
    if not 0 <= index < kspace.shape[0]:
        raise SourceError(f"{path.name} has {kspace.shape[0]} slices, not a slice {index}. Run `i2m2 prepare` again.")
    return kspace_slice(file, index).reshape(-1, *kspace.shape[-2:])


def kspace_slice(file: OpenFile, index: int) -> np.ndarray:
    """One slice of k-space, ([coil,] readout, phase) complex64 as this machine writes it; infinite where single precision ends."""
    with np.errstate(over="ignore"):  # what becomes infinite is refused where a volume is inspected
        return file.read("kspace", index).astype(np.complex64, copy=False)


def read_rss(path: Path, index: int) -> np.ndarray | None:
    """One slice of the file's own root-sum-of-squares image, (height, width) float32; None where it has none."""
    file = open_file(path)
    return (
        file.read("reconstruction_rss", index).astype(np.float32, copy=False) if "reconstruction_rss" in file else None
    )


def _has_rss(file: OpenFile, n_slices: int, measured: tuple[int, int], axes: tuple[Axis, Axis] | None) -> bool:
    """Whether the file has an image of its own. Raises SourceError for one of other slices, or of other pixels than its reconstruction.

    Its rows and columns are the header's reconstruction, or as much of it as was measured; without a header, at most k-space's.
    """
    if "reconstruction_rss" not in file:
        return False
    shape = file.array("reconstruction_rss").shape
    if len(shape) != 3 or shape[0] != n_slices:
        raise SourceError(f"{file.name}: reconstruction_rss has the shape {shape}, but kspace has {n_slices} slices.")
    own, made = shape[1:], tuple(axis.recon for axis in axes) if axes else measured
    known = [{axis.recon, axis.shown} for axis in axes] if axes else [range(1, most + 1) for most in measured]
    if any(size not in sizes for size, sizes in zip(own, known, strict=True)):
        raise SourceError(
            f"{file.name}: reconstruction_rss is {own[0]} × {own[1]}, but {made[0]} × {made[1]} "
            f"{'is what the header reconstructs' if axes else 'is the size of kspace'}: its pixels lie elsewhere."
        )
    return True


def _header(file: OpenFile) -> Header | None:
    return parse_header(file.read("ismrmrd_header").item(), file.name) if "ismrmrd_header" in file else None


def _refuse_swapped(name: str, shape: tuple[int, int, int, int], header: Header | None) -> None:
    """shape: (slice, coil, readout, phase). Raises SourceError where the header's sizes are those of other axes."""
    n_slices, n_coils, readout, phase = shape
    encoded = header and header.encodings[0].encoded.matrix[:2]
    swapped = header is not None and n_coils > 1 and header.coils == n_slices != n_coils
    if not swapped and (encoded is None or encoded == (readout, phase)):
        return
    if encoded and (swapped or encoded in ((phase, readout), (n_slices, readout), (readout, n_slices))):
        raise SourceError(
            f"{name}: kspace has its axes in another order than (slice, [coil,] readout, phase): the header says "
            f"readout {encoded[0]} × phase {encoded[1]}."
        )


def _mask_agrees(file: OpenFile, phase: int) -> bool:
    """Whether the volume is masked. Raises SourceError for a mask of another width than the phase axis; axes of one entry don't count."""
    if "mask" not in file:
        return False
    shape = file.array("mask").shape
    if tuple(n for n in shape if n != 1) not in ((phase,), () if phase == 1 else (phase,)):
        raise SourceError(f"{file.name}: mask has the shape {shape}, but kspace has {phase} phase-encoding columns.")
    return True
