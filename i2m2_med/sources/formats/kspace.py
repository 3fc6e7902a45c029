"""K-space of every format by one face: fastMRI HDF5, ISMRMRD raw (HDF5), BART (`.cfl`), and `.npy`, (coil, readout, phase) with DC in the centre."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats import bart, fastmri_hdf5, ismrmrd_raw
from i2m2_med.sources.formats.hdf5 import MAX_BYTES, files_behind
from i2m2_med.sources.formats.ismrmrd_counters import ONLY_IMAGE, Choice
from i2m2_med.sources.formats.npy import open_npy
from i2m2_med.sources.formats.volume import Volume, energy

ENDINGS = (".h5", ".npy", ".cfl")
ARRAYS = ("kspace", "reconstruction_rss", "mask", "dataset/data")
"""Arrays of HDF5 files that are read."""


def inspect_kspace(path: Path, choice: Choice = ONLY_IMAGE) -> Volume:
    """Read a file once and check it. Raises SourceError with the first thing that is wrong."""
    if path.suffix.lower() == ".cfl":
        return bart.inspect_cfl(path)
    if path.suffix.lower() == ".npy":
        return inspect_npy(path)
    if ismrmrd_raw.is_ismrmrd(path):
        return ismrmrd_raw.inspect_raw(path, choice)
    return fastmri_hdf5.inspect_volume(path)


def read_kspace(path: Path, form: str, index: int, choice: Choice = ONLY_IMAGE) -> np.ndarray:
    """One slice of k-space, (coil, readout, phase) complex64."""
    if form in ("npy", "cfl"):
        return load_npy(path, index) if form == "npy" else bart.read_cfl(path, index)
    return ismrmrd_raw.read_raw(path, index, choice) if form == "ismrmrd" else fastmri_hdf5.read_kspace(path, index)


def header_of(path: Path) -> Path | None:
    """The `.hdr` that an `.img` or `.cfl` comes with; None for other files, or where it is missing."""
    header = path.with_suffix(".hdr")
    return header if path.suffix.lower() in (".img", ".cfl") and header.is_file() else None


def behind_of(path: Path) -> list[Path]:
    """The files that an HDF5 file's virtual arrays are put together from."""
    return files_behind(path, ARRAYS) if path.suffix.lower() == ".h5" else []


def slice_columns(volume: Volume, choice: Choice = ONLY_IMAGE) -> dict[str, pl.Expr]:
    """What transforms read of a volume, beside its files and the slice's number.

    `_format`, `_shape` (slice, coil, readout, phase), `_recon` (rows and columns), `_step` and `_turn` (of `Volume`), `_encoded_mm`
    (row and column spacing of k-space's image) and `_voxel_mm` (row, column and slice spacing of the images; null where not known),
    `_choice` (of `Choice`), `_scale` (`Volume.scale`), `_masked`.
    """
    shape = [volume.n_slices, volume.n_coils, volume.readout, volume.phase]
    return {
        "_format": pl.lit(volume.format),
        "_shape": pl.lit(shape, pl.List(pl.Int64)),
        "_recon": pl.lit(list(volume.recon), pl.List(pl.Int64)),
        "_step": pl.lit(list(volume.step), pl.List(pl.Float64)),
        "_encoded_mm": listed(volume.encoded_mm),
        "_turn": pl.lit(list(volume.turn), pl.List(pl.Boolean)),
        "_choice": pl.lit(list(choice.model_dump().values()), pl.List(pl.Int64)),
        "_scale": pl.lit(volume.scale, pl.Float64),
        "_masked": pl.lit(volume.masked),
        "_voxel_mm": listed(volume.voxel_mm),
    }


def listed(numbers: tuple[float, ...] | None) -> Any:
    """Numbers as a list, or null."""
    return pl.lit(None if numbers is None else list(numbers), pl.List(pl.Float64))


def inspect_npy(path: Path) -> Volume:
    """Read a `.npy` file once, slice by slice, and check it. The format says no millimetres and no place."""
    n_slices, n_coils, readout, phase = npy_shape(open_kspace(path))
    energies = tuple(energy(load_npy(path, index), path.name, index, "kspace") for index in range(n_slices))
    recon = (readout, phase)
    return Volume(
        format="npy", n_slices=n_slices, n_coils=n_coils, readout=readout, phase=phase, recon=recon, energies=energies
    )


def load_npy(path: Path, index: int) -> np.ndarray:
    """(coil, readout, phase) complex64 of one slice; infinite where single precision ends."""
    mapped = open_kspace(path)
    shape = npy_shape(mapped)
    if not 0 <= index < shape[0]:
        raise SourceError(f"{path.name} has {shape[0]} slices, not a slice {index}. Run `i2m2 prepare` again.")
    with np.errstate(over="ignore"):  # what becomes infinite is refused where a volume is inspected
        return np.array(mapped.reshape(shape)[index], np.complex64)


def npy_shape(mapped: np.ndarray) -> tuple[int, int, int, int]:
    """(slice, coil, readout, phase): two axes are one coil of one slice, three are one slice."""
    readout, phase = mapped.shape[-2:]
    return (mapped.shape[0] if mapped.ndim == 4 else 1, mapped.shape[-3] if mapped.ndim > 2 else 1, readout, phase)


def open_kspace(path: Path) -> np.ndarray:
    """The array as it lies on disk. Raises SourceError for what is no k-space, or more of a slice than can be read at once."""
    mapped = open_npy(path, "c", path.name)
    right = mapped.dtype.itemsize in (8, 16) and mapped.ndim in (2, 3, 4) and 0 not in mapped.shape
    if not right or mapped.nbytes > MAX_BYTES * (mapped.shape[0] if mapped.ndim == 4 else 1):
        raise SourceError(
            f"{path.name} holds {mapped.dtype} of shape {mapped.shape}; expected complex k-space ([slice,] coil, readout, phase)."
        )
    return mapped
