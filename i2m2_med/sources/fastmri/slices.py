"""Volumes of every format that the fastMRI source reads, by one face: find them, inspect them, read one slice of them.

Formats: fastMRI HDF5, ISMRMRD raw (HDF5), BART (`.cfl`), `.npy` k-space of one slice, (coil, readout, phase) with DC in the
centre; images of magnitude and phase as NIfTI and what else nibabel reads, or as a folder of DICOM files.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.files import digest, write_json
from i2m2_med.sources.fastmri.dicom_studies import dicom_volumes
from i2m2_med.sources.fastmri.setting import leaves_lines_out
from i2m2_med.sources.formats import dicom, fastmri_hdf5, nifti
from i2m2_med.sources.formats.damaged import blamed_on
from i2m2_med.sources.formats.dicom_frames import is_dicom
from i2m2_med.sources.formats.ismrmrd_counters import ONLY_IMAGE, Choice
from i2m2_med.sources.formats.kspace import ENDINGS, behind_of, header_of, inspect_kspace, read_kspace
from i2m2_med.sources.formats.volume import Volume


@dataclass(frozen=True)
class VolumeFiles:
    """Where the data of one volume lie: raw data or images."""

    data: Path | None
    """Raw data, a magnitude, complex or real image, or a folder of DICOM files."""
    phase: Path | None = None
    imaginary: Path | None = None
    """With it, `data` is the real part."""
    members: tuple[Path, ...] = ()
    """Of a folder, its files."""
    called: str = ""
    """What annotations call a folder, where that is not its own name."""
    twice: tuple[Path, ...] = ()
    """Files that show the same part; such a volume is refused."""

    @property
    def paths(self) -> list[Path]:
        """The files that there are, the one to name it by first."""
        named = [path for path in (self.data, self.phase, self.imaginary) if path is not None]
        if self.members:
            return list(self.members)
        return named + [header for path in named if (header := header_of(path)) is not None]

    @property
    def content(self) -> list[Path]:
        """Every file that the volume's data lie in: also those that virtual arrays are put together from."""
        return self.paths + [behind for path in self.paths for behind in behind_of(path)]

    @property
    def name(self) -> str:
        """How annotations name a volume: its file's name without suffix, of images also without the part; a folder's name."""
        if self.members:
            assert self.data is not None
            return self.called or self.data.name
        first = self.paths[0]
        return nifti.volume_name(first) if nifti.is_nifti(first) else first.stem


def find_volumes(folder: Path) -> list[VolumeFiles]:
    """Every volume below a folder, by name of its first file."""
    return group_volumes(path for path in folder.rglob("*") if not path.name.startswith(".") and path.is_file())


def group_volumes(paths: Iterable[Path]) -> list[VolumeFiles]:
    """Raw files each for itself, images by what they show, DICOM files by examination; other files are left alone."""
    files = sorted(paths)
    raw = [VolumeFiles(path) for path in files if path.suffix.lower() in ENDINGS]
    series = dicom_volumes(path for path in files if is_dicom(path))
    folders = [VolumeFiles(one.folder, members=one.files, called=one.name) for one in series]
    return sorted(raw + folders + _images(files), key=lambda volume: volume.paths[0])


def _images(files: list[Path]) -> list[VolumeFiles]:
    """Images with the same name but for the part; one without a part is the magnitude that others lack, or complex."""
    groups: dict[tuple[Path, str], dict[str, list[Path]]] = {}
    unnamed: list[Path] = []
    for path in filter(nifti.is_nifti, files):
        part = nifti.part_of(path)
        if part is None:
            unnamed.append(path)
        else:
            groups.setdefault((path.parent, nifti.volume_name(path)), {}).setdefault(part, []).append(path)
    for path in unnamed:
        key = path.parent, nifti.volume_name(path)
        if key in groups and "magnitude" not in groups[key]:
            groups[key]["magnitude"] = [path]
        elif nifti.is_complex(path):
            groups.setdefault(key, {}).setdefault("magnitude", []).append(path)
    return [_parts(group) for group in groups.values()]


def _parts(group: dict[str, list[Path]]) -> VolumeFiles:
    """Magnitude and phase (or one of them) before real and imaginary."""
    one = {part: paths[0] for part, paths in group.items()}
    twice = next((tuple(paths) for paths in group.values() if len(paths) > 1), ())
    whole = "magnitude" in one and "phase" in one
    if not whole and ("real" in one or "imaginary" in one):
        real, imaginary = one.get("real"), one.get("imaginary")
        mixed = tuple(one.values()) if len(one) != 2 or real is None or imaginary is None else ()
        return VolumeFiles(real or one.get("magnitude") or one.get("phase"), None, imaginary, twice=twice or mixed)
    return VolumeFiles(one.get("magnitude"), one.get("phase"), twice=twice)


def inspect(files: VolumeFiles, choice: Choice = ONLY_IMAGE) -> Volume:
    """Read a volume once and check it. Raises SourceError with the first thing that is wrong.

    choice: which image of an ISMRMRD file that holds several.
    """
    volume = _inspected(files, choice)
    if volume.reconstructed:
        return volume
    middle = read_kspace(files.paths[0], volume.format, volume.n_slices // 2, choice)
    return volume.model_copy(update={"gaps": leaves_lines_out(middle)})


def _inspected(files: VolumeFiles, choice: Choice) -> Volume:
    if files.twice:
        names = ", ".join(path.name for path in files.twice)
        raise SourceError(
            f"{names}: which of them count can't be told; give one magnitude and phase, or real and imaginary."
        )
    with blamed_on((files.data or files.paths[0]).name):
        return _inspect(files, choice)


def _inspect(files: VolumeFiles, choice: Choice) -> Volume:
    """By format."""
    path = files.data or files.paths[0]
    if files.members:
        return dicom.inspect_series(path)
    if nifti.is_nifti(path):
        return nifti.inspect_pair(files.data, files.phase, files.imaginary)
    return inspect_kspace(path, choice)


def kept_facts(files: VolumeFiles, cache: Path, choice: Choice = ONLY_IMAGE) -> Volume:
    """Facts of a volume, read once: kept in `cache` for as long as its files' names, sizes and times stay the same."""
    known = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files.content]
    kept = cache / "volumes" / f"{digest(['volume 10', known, choice.model_dump()])[:32]}.json"
    if kept.exists():
        return Volume.model_validate_json(kept.read_text(encoding="utf-8"))
    volume = inspect(files, choice)
    write_json(kept, volume.model_dump())
    return volume


def read_image(files: VolumeFiles, index: int) -> np.ndarray:
    """One slice of images that were reconstructed already, (height, width) complex64."""
    if files.data is not None and files.data.is_dir():
        return dicom.read_series(files.data, index)
    return nifti.read_pair(files.data, files.phase, index, files.imaginary)


def read_rss(path: Path, form: str, index: int) -> np.ndarray | None:
    """The file's own root-sum-of-squares image of a slice, (height, width); None where it has none."""
    return fastmri_hdf5.read_rss(path, index) if form == "fastmri" else None
