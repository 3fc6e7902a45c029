"""One study folder for scoring: a volume of any format that `slices.py` reads, and nothing from outside the folder."""

from pathlib import Path

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.slices import find_volumes, inspect, volume_files, volume_name
from i2m2_med.sources.source import Study
from i2m2_med.sources.volume import Volume


def open_study(folder: Path) -> Study:
    """The one volume in a study folder (or a study that is one file), a record per slice.

    Raises SourceError if there is none or more than one, if a file is a link that leaves the folder, or if the volume
    can't be read.
    """
    volumes = [folder] if folder.is_file() else find_volumes(folder)
    home = folder.resolve() if folder.is_dir() else folder.resolve().parent
    if not volumes:
        raise SourceError(
            "holds no fastMRI or ISMRMRD file (*.h5), no NIfTI magnitude image and no k-space array (*.npy)."
        )
    if len(volumes) > 1:
        raise SourceError(
            f"holds {len(volumes)} volumes; a study folder is scored as one. Give each a folder of its own."
        )
    for path in volume_files(volumes[0]):
        if not path.resolve().is_relative_to(home):
            raise SourceError(f"{path.name} is a link that leaves the study's folder. Copy the file into it.")
    volume = inspect(volumes[0])
    rows = volume_rows(volume_name(volumes[0]), volumes[0], volume)
    return Study(rows.select(pl.lit(volume.patient_id or folder.name).alias("patient"), pl.all()))


def volume_rows(name: str, path: Path, volume: Volume) -> pl.DataFrame:
    """One row per slice with what the transforms read.

    `_path`, `_format`, `_slice`, `_shape` (slice, coil, readout, phase), `_scale` (`Volume.scale`), `_masked`; and the
    subgroups `group_acquisition`, `group_field_strength`.
    """
    strength = volume.field_strength_t
    shape = [volume.n_slices, volume.n_coils, volume.readout, volume.phase]
    return pl.DataFrame(
        {"study": name, "item": range(volume.n_slices), "_path": str(path.resolve()), "_slice": range(volume.n_slices)},
        schema_overrides={"item": pl.Int64, "_slice": pl.Int64},
    ).with_columns(
        has_phase=pl.lit(volume.has_phase),
        has_rss=pl.lit(volume.has_rss or volume.n_coils > 1),
        group_acquisition=pl.lit(volume.acquisition, pl.String),
        group_field_strength=pl.lit(f"{strength:.1f} T" if strength else None, pl.String),
        _format=pl.lit(volume.format),
        _shape=pl.lit(shape, pl.List(pl.Int64)),
        _scale=pl.lit(volume.scale, pl.Float64),
        _masked=pl.lit(volume.masked),
    )
