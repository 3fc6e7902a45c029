"""DICOM files below a folder → volumes: an examination's series that complete each other are one volume, other series one each.

Files of one folder are one series, or one volume; that they are is checked when the volume is read. Series lie in folders of
their own below that of their examination. Magnitude and phase (or real and imaginary) of one examination belong together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.dicom_frames import examination_of

COMPLETE = ({"magnitude", "phase"}, {"real", "imaginary"})
"""Parts that make a complex image together."""


@dataclass(frozen=True)
class SeriesFolder:
    """A folder that holds DICOM files itself."""

    folder: Path
    files: tuple[Path, ...]
    examination: str | None
    """StudyInstanceUID of its first file; None where it has none or can't be read."""
    part: str | None
    """The part that its first file shows."""


@dataclass(frozen=True)
class DicomVolume:
    """A volume's folder, its files, and what annotations call it: its folder's name, below the examination's where that holds several."""

    folder: Path
    files: tuple[Path, ...]
    name: str


def dicom_volumes(files: Iterable[Path]) -> list[DicomVolume]:
    """Group DICOM files, of which one in each folder is opened. Nothing is refused here: readers do that, volume by volume."""
    members: dict[Path, list[Path]] = {}
    for path in files:
        members.setdefault(path.parent, []).append(path)
    series = [_series(folder, paths) for folder, paths in members.items()]
    examinations: dict[str, list[SeriesFolder]] = {}
    for one in series:
        examinations.setdefault(one.examination or str(one.folder), []).append(one)
    return [volume for group in examinations.values() for volume in _volumes(group, series)]


def _series(folder: Path, paths: list[Path]) -> SeriesFolder:
    try:
        examination, part = examination_of(paths[0])
    except SourceError:
        examination, part = None, None
    return SeriesFolder(folder, tuple(paths), examination, part)


def _volumes(group: list[SeriesFolder], everything: list[SeriesFolder]) -> list[DicomVolume]:
    """The volumes of one examination."""
    home = Path(commonpath([one.folder for one in group]))
    mixed = any(one.folder.is_relative_to(home) for one in everything if one not in group)
    parts = [one.part for one in group]
    if len(group) == 2 and not mixed and set(parts) in COMPLETE:
        return [DicomVolume(home, tuple(path for one in group for path in one.files), home.name)]
    if len(group) == 1 or mixed:
        return [DicomVolume(one.folder, one.files, one.folder.name) for one in group]
    names = {one: f"{home.name}/{one.folder.relative_to(home).as_posix()}".removesuffix("/.") for one in group}
    return [DicomVolume(one.folder, one.files, names[one]) for one in group]
