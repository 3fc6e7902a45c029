"""Volumes of every format that the knee track reads, by one face: find them, inspect them, read one slice of them.

Formats: fastMRI HDF5, ISMRMRD raw (HDF5), NIfTI magnitude/phase pairs, and `.npy` k-space of one slice, (coil, readout,
phase) with DC in the centre.
"""

from pathlib import Path

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.files import digest, write_json
from i2m2_med.sources import fastmri_volume, ismrmrd_raw, nifti
from i2m2_med.sources.hdf5 import MAX_BYTES
from i2m2_med.sources.volume import Volume, energy


def find_volumes(folder: Path) -> list[Path]:
    """Every volume below a folder, by its first file (of a NIfTI pair: the magnitude), sorted."""
    raw = [path for path in folder.rglob("*") if path.suffix in (".h5", ".npy") and not path.name.startswith(".")]
    return sorted(raw + [path for path in folder.rglob("*.nii*") if nifti.is_magnitude(path)])


def volume_files(path: Path) -> list[Path]:
    """The files that one volume consists of."""
    phase = nifti.phase_of(path) if nifti.is_nifti(path) else None
    return [path] if phase is None else [path, phase]


def volume_name(path: Path) -> str:
    """How annotations name a volume: its file's name without suffix, of a NIfTI pair also without the part."""
    return nifti.volume_name(path) if nifti.is_nifti(path) else path.stem


def inspect(path: Path) -> Volume:
    """Read a volume once and check it. Raises SourceError with the first thing that is wrong."""
    if nifti.is_nifti(path):
        return nifti.inspect_pair(path)
    if path.suffix == ".npy":
        return _inspect_npy(path)
    return ismrmrd_raw.inspect_raw(path) if ismrmrd_raw.is_ismrmrd(path) else fastmri_volume.inspect_volume(path)


def kept_facts(path: Path, cache: Path) -> Volume:
    """Facts of a volume, read once: kept in `cache` for as long as its files' names, sizes and times stay the same."""
    known = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in volume_files(path)]
    kept = cache / "volumes" / f"{digest(['volume 2', known])[:32]}.json"
    if kept.exists():
        return Volume.model_validate_json(kept.read_text())
    volume = inspect(path)
    write_json(kept, volume.model_dump())
    return volume


def read_kspace(path: Path, form: str, index: int) -> np.ndarray:
    """One slice of k-space, (coil, readout, phase) complex64."""
    if form == "npy":
        return _load_npy(path)
    return (ismrmrd_raw.read_raw if form == "ismrmrd" else fastmri_volume.read_kspace)(path, index)


def read_image(path: Path, index: int) -> np.ndarray:
    """One slice of a NIfTI pair, (height, width) complex64."""
    return nifti.read_pair(path, index)


def read_rss(path: Path, form: str, index: int) -> np.ndarray | None:
    """The file's own root-sum-of-squares image of a slice, (height, width); None where it has none."""
    return fastmri_volume.read_rss(path, index) if form == "fastmri" else None


def _inspect_npy(path: Path) -> Volume:
    kspace = _load_npy(path)
    n_coils, readout, phase = kspace.shape
    return Volume(
        format="npy",
        n_slices=1,
        n_coils=n_coils,
        readout=readout,
        phase=phase,
        recon=(readout, phase),
        energies=(energy(kspace, path.name, 0),),
    )


def _load_npy(path: Path) -> np.ndarray:
    """(coil, readout, phase) complex64 of one slice; a two-dimensional array is one coil."""
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path.name} is gone, truncated or no array file. Get it again.") from error
    if mapped.dtype != np.complex64 or mapped.ndim not in (2, 3) or 0 in mapped.shape or mapped.nbytes > MAX_BYTES:
        raise SourceError(
            f"{path.name} holds {mapped.dtype} of shape {mapped.shape}; expected k-space (coil, readout, phase) complex64."
        )
    return np.array(mapped).reshape(-1, *mapped.shape[-2:])
