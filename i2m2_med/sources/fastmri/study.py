"""One study folder for scoring: a volume of any format that `slices.py` reads, and nothing from outside the folder."""

from pathlib import Path

import numpy as np
import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.fastmri.setting import anatomy_of, lines_of, phase_source_of, plane_of
from i2m2_med.sources.fastmri.slices import VolumeFiles, find_volumes, inspect
from i2m2_med.sources.formats.description import read_description
from i2m2_med.sources.formats.ismrmrd_counters import ONLY_IMAGE, Choice
from i2m2_med.sources.formats.kspace import slice_columns
from i2m2_med.sources.formats.nifti import part_of
from i2m2_med.sources.formats.orientation import letters
from i2m2_med.sources.formats.volume import Volume
from i2m2_med.sources.source import Study

NAMES = ("kspace", "raw", "magnitude", "phase", "real", "imaginary")
"""Names of `study.yaml` that are read here: the file of raw data, or of an image."""
OTHERS = ("series", "static", "notes")
"""Names of `study.yaml` that other data sets read."""


def open_study(folder: Path, choice: Choice = ONLY_IMAGE) -> Study:
    """The one volume in a study folder (or a study that is one file), a record per slice.

    Raises SourceError if there is none or more than one, if a file is a link that leaves the folder, or if the volume
    can't be read.
    """
    files = study_files(folder)
    home = (folder if folder.is_dir() else folder.parent).resolve()
    for path in files.paths:
        if not path.resolve().is_relative_to(home):
            raise SourceError("a file of the study is a link that leaves its folder. Copy the file into it.")
        if not path.is_file():
            raise SourceError("study.yaml names a file that is not in the study's folder.")
    if folder.is_file() and len(files.content) > 1:
        raise SourceError("the study's file is put together from other files. Give it a folder of its own with them.")
    volume = inspect(files, choice)
    rows = volume_rows(files, volume, choice)
    return Study(rows.select(pl.lit(volume.patient_id or folder.name).alias("patient"), pl.all()))


def study_files(folder: Path) -> VolumeFiles:
    """The files of the study's volume: what `study.yaml` names, or all that are there if that leaves no doubt."""
    if folder.is_file():
        return VolumeFiles(folder)
    named = named_files(folder)
    if named:
        data = next((named[name] for name in ("kspace", "raw", "magnitude", "real") if name in named), None)
        return VolumeFiles(data, named.get("phase"), named.get("imaginary"))
    volumes = find_volumes(folder)
    others = [volume for volume in volumes if not volume.members]
    volumes = others or volumes  # DICOM files beside raw data or images are there for the report
    if volumes and all(volume.members for volume in volumes):  # a folder for each series of one examination
        return VolumeFiles(folder, members=tuple(path for volume in volumes for path in volume.members))
    alone = [volume.paths[0] for volume in volumes if len({volume.data, volume.phase, volume.imaginary} - {None}) == 1]
    parts = {part_of(path): path for path in alone}
    if len(volumes) == len(alone) == len(parts) == 2:  # a pair, whatever else their names say
        if {"magnitude", "phase"} == set(parts):
            return VolumeFiles(parts["magnitude"], parts["phase"])
        if {"real", "imaginary"} == set(parts):
            return VolumeFiles(parts["real"], imaginary=parts["imaginary"])
    if not volumes:
        raise SourceError(
            "The study holds no fastMRI or ISMRMRD file (*.h5), no NIfTI magnitude or phase, no MR DICOM files, and no "
            "k-space (*.npy, *.cfl)."
        )
    if len(volumes) > 1:
        raise SourceError(f"The study holds {len(volumes)} volumes. Say in study.yaml which counts (kspace: FILE).")
    return volumes[0]


def named_files(folder: Path) -> dict[str, Path]:
    """The image files that `study.yaml` names, by what they are. Raises SourceError if it is broken or names others."""
    content = read_description(folder)
    if not set(content) <= {*NAMES, *OTHERS}:
        raise SourceError(f"study.yaml may name {', '.join(NAMES + OTHERS)}, each with a file of the study.")
    named = {name: content[name] for name in NAMES if name in content}
    return {name: folder / value for name, value in named.items()}


def volume_rows(files: VolumeFiles, volume: Volume, choice: Choice = ONLY_IMAGE) -> pl.DataFrame:
    """One row per slice that holds something, with what the transforms read.

    `_data`, `_phase` and `_imaginary` (paths, null where there is no such file), `_slice`, those of `slice_columns`, `_toward` (letters
    of where columns, rows and slices go; null where nominal), and
    what `setting.py` tells: `_anatomy`, `_plane`, `_lines`, `_phase_source`; `_phase_unit` (of `Volume`),
    `_reading` (its remarks); and the subgroups `group_acquisition`,
    `group_field_strength`.
    """
    strength = volume.field_strength_t
    return pl.DataFrame(
        {"study": files.name, "item": volume.filled, "_slice": volume.filled},
        schema_overrides={"item": pl.Int64, "_slice": pl.Int64},
    ).with_columns(
        has_magnitude=pl.lit(volume.has_magnitude),
        has_phase=pl.lit(volume.has_phase),
        has_rss=pl.lit(volume.has_rss or volume.n_coils > 1),
        group_acquisition=pl.lit(volume.acquisition, pl.String),
        group_field_strength=pl.lit(f"{strength:.1f} T" if strength else None, pl.String),
        _data=pl.lit(str(files.data.resolve()) if files.data else None, pl.String),
        _phase=pl.lit(str(files.phase.resolve()) if files.phase else None, pl.String),
        _imaginary=pl.lit(str(files.imaginary.resolve()) if files.imaginary else None, pl.String),
        **slice_columns(volume, choice),
        _toward=pl.lit(
            None if volume.affine is None else list(letters(np.reshape(volume.affine, (4, 4)))), pl.List(pl.String)
        ),
        _anatomy=pl.lit(anatomy_of(volume, files.name), pl.String),
        _plane=pl.lit(plane_of(volume), pl.String),
        _lines=pl.lit(lines_of(volume), pl.String),
        _phase_source=pl.lit(phase_source_of(volume), pl.String),
        _reading=pl.lit(", ".join(volume.remarks) or "nothing left out or merged"),
        _phase_unit=pl.lit(volume.phase_unit, pl.String),
    )
