"""Volumes of every format that the knee track reads, by one face: find them, inspect them, read one slice of them.

Formats: fastMRI HDF5, ISMRMRD raw (HDF5), NIfTI magnitude and phase, and `.npy` k-space of one slice, (coil, readout,
phase) with DC in the centre.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.files import digest, write_json
from i2m2_med.sources.fastmri import volume as fastmri_volume
from i2m2_med.sources.formats import ismrmrd_raw, nifti
from i2m2_med.sources.formats.hdf5 import MAX_BYTES
from i2m2_med.sources.formats.ismrmrd_counters import ONLY_IMAGE, Choice
from i2m2_med.sources.formats.npy import open_npy
from i2m2_med.sources.formats.volume import Volume, energy


@dataclass(frozen=True)
class VolumeFiles:
    """Where the data of one volume lie: raw data (or a magnitude image), and a phase image where there is one."""

    data: Path | None
    phase: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """The files that there are, the one to name it by first."""
        return [path for path in (self.data, self.phase) if path is not None]

    @property
    def name(self) -> str:
        """How annotations name a volume: its file's name without suffix, of NIfTI images also without the part."""
        first = self.paths[0]
        return nifti.volume_name(first) if nifti.is_nifti(first) else first.stem


def find_volumes(folder: Path) -> list[VolumeFiles]:
    """Every volume below a folder, by name of its first file."""
    return group_volumes(path for path in folder.rglob("*") if not path.name.startswith(".") and path.is_file())


def group_volumes(paths: Iterable[Path]) -> list[VolumeFiles]:
    """Raw files each for itself, NIfTI images by pairs; other files are left alone."""
    files = sorted(paths)
    images = [path for path in files if nifti.part_of(path)]
    pairs: dict[tuple[Path, str], dict[str, Path]] = {}
    for path in images:
        pairs.setdefault((path.parent, nifti.volume_name(path)), {})[str(nifti.part_of(path))] = path
    raw = [VolumeFiles(path) for path in files if path.suffix.lower() in (".h5", ".npy")]
    found = raw + [VolumeFiles(pair.get("magnitude"), pair.get("phase")) for pair in pairs.values()]
    return sorted(found, key=lambda volume: volume.paths[0])


def inspect(files: VolumeFiles, choice: Choice = ONLY_IMAGE) -> Volume:
    """Read a volume once and check it. Raises SourceError with the first thing that is wrong.

    choice: which image of an ISMRMRD file that holds several.
    """
    path = files.paths[0]
    if nifti.is_nifti(path):
        return nifti.inspect_pair(files.data, files.phase)
    if path.suffix == ".npy":
        return _inspect_npy(path)
    if ismrmrd_raw.is_ismrmrd(path):
        return ismrmrd_raw.inspect_raw(path, choice)
    return fastmri_volume.inspect_volume(path)


def kept_facts(files: VolumeFiles, cache: Path, choice: Choice = ONLY_IMAGE) -> Volume:
    """Facts of a volume, read once: kept in `cache` for as long as its files' names, sizes and times stay the same."""
    known = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files.paths]
    kept = cache / "volumes" / f"{digest(['volume 7', known, choice.model_dump()])[:32]}.json"
    if kept.exists():
        return Volume.model_validate_json(kept.read_text())
    volume = inspect(files, choice)
    write_json(kept, volume.model_dump())
    return volume


def read_kspace(path: Path, form: str, index: int, choice: Choice = ONLY_IMAGE) -> np.ndarray:
    """One slice of k-space, (coil, readout, phase) complex64."""
    if form == "npy":
        return _load_npy(path)
    return ismrmrd_raw.read_raw(path, index, choice) if form == "ismrmrd" else fastmri_volume.read_kspace(path, index)


def read_image(files: VolumeFiles, index: int) -> np.ndarray:
    """One slice of NIfTI images, (height, width) complex64."""
    return nifti.read_pair(files.data, files.phase, index)


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
        energies=(energy(kspace, path.name, 0, "kspace"),),
    )


def _load_npy(path: Path) -> np.ndarray:
    """(coil, readout, phase) complex64 of one slice; a two-dimensional array is one coil."""
    mapped = open_npy(path, "c", path.name)
    if mapped.dtype != np.complex64 or mapped.ndim not in (2, 3) or 0 in mapped.shape or mapped.nbytes > MAX_BYTES:
        raise SourceError(
            f"{path.name} holds {mapped.dtype} of shape {mapped.shape}; expected k-space (coil, readout, phase) complex64."
        )
    return np.array(mapped).reshape(-1, *mapped.shape[-2:])
