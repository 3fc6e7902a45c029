"""fastMRI knee volumes with fastMRI+ labels → one record per slice. Nothing is copied: records carry path and slice number.

`root` holds the volumes (`*.h5`, in subfolders as downloaded) and the annotations, `knee.csv` and `knee_file_list.csv`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.files import digest, existing_folder, write_json
from i2m2_med.settings import Settings as ClosedSettings
from i2m2_med.sources.fastmri_plus import (
    PUBLISHED_RULES,
    STUDY_LEVEL_SLICE,
    Abnormal,
    LabelRule,
    label_names,
    label_table,
    reviewed_volumes,
)
from i2m2_med.sources.fastmri_volume import Volume, inspect_volume
from i2m2_med.sources.source import Flow, Labels, Progress, Study
from i2m2_med.sources.source import Source as BaseSource

MODALITIES = ("magnitude", "phase", "rss", "real", "imaginary")


class Settings(ClosedSettings):
    """`source: {name: fastmri, …}`."""

    name: Literal["fastmri"] = "fastmri"
    root: Path
    """Folder of the fastMRI knee volumes; subfolders are searched."""
    annotations: Path | None = None
    """fastMRI+ `knee.csv`; in `root` unless given."""
    reviewed: Path | None = None
    """fastMRI+ `knee_file_list.csv`, the volumes that were reviewed; in `root` unless given."""
    coils: Literal["single", "multi", "any"] = "single"
    """`single`: k-space without coil axis; `multi`: with; `any`: both."""
    abnormal: Abnormal = "other"
    """What the label `abnormal` means: `other` = a finding that no rule names (published); `any` = any finding; `none` = no such label."""
    labels: Mapping[str, LabelRule] = PUBLISHED_RULES
    """Label rules: by label, which of the 22 fastMRI+ strings are evidence for it."""
    study_level: Literal["apart", "slice"] = "apart"
    """Findings about a whole study: `apart` = no slice's label; `slice` = the first slice's (published)."""
    patient: Literal["attribute", "file"] = "attribute"
    """Who a volume belongs to: its `patient_id`, or (where files have none) each file is a patient of its own: volumes of one person may then be split apart."""
    max_width: int | None = None
    """Leave out volumes with more phase-encoding columns (published: 400)."""
    splits: Path | None = None
    """CSV with the columns `file` and `split` (train, valid, test), where an official split is to be kept."""


class Source(BaseSource):
    """fastMRI knee, single- or multi-coil, masked or fully sampled."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.labels = Labels(label_names(settings.labels, settings.abnormal), ("absent", "present"))
        self.modalities = MODALITIES
        self.annotations = settings.annotations or settings.root / "knee.csv"
        self.reviewed = settings.reviewed or settings.root / "knee_file_list.csv"

    def files(self) -> list[Path]:
        """The annotation files and every volume, reviewed or not. Raises SourceError where there is none."""
        settings = self.settings
        root = existing_folder(settings.root, "it should hold the fastMRI knee volumes (*.h5); set source.root")
        volumes = sorted(root.rglob("*.h5"))
        if not volumes:
            raise SourceError(f"{root} holds no fastMRI volume (*.h5). Set source.root to the folder that does.")
        return [self.annotations, self.reviewed, *([settings.splits] if settings.splits else []), *volumes]

    def ingest(self, folder: Path, cache: Path, flow: Flow, progress: Progress) -> pl.DataFrame:  # noqa: ARG002
        """One row per slice of every reviewed volume that is whole, in the order of volume name and slice."""
        paths = self._reviewed_paths(flow)
        volumes: dict[str, Volume] = {}
        for name, path in progress.track(paths.items(), "reading volumes", len(paths)):
            try:
                volumes[name] = self._checked(kept_facts(path, cache), path)
            except SourceError as error:
                flow.refuse(path.name, error)
        volumes = self._not_too_wide(volumes, flow)
        self._refuse_twins(volumes, paths, flow)
        labels = self._labels(volumes, paths, flow)
        if not volumes:
            raise SourceError(f"No volume in {self.settings.root} can be used: {len(flow.refused)} were refused.")
        flow.step("volumes", len(volumes), len(paths) - len(volumes), "left out above or refused")
        frames = [self._records(name, volume, paths[name]) for name, volume in sorted(volumes.items())]
        records = pl.concat(frames).join(labels, on=["study", "item"], how="left", maintain_order="left")
        records = records.with_columns(pl.col(f"label_{name}").fill_null(0) for name in self.labels.names)
        flow.step("slices", records.height)
        return self._with_splits(records)

    def study(self, folder: Path) -> Study:
        """Open a study folder for scoring."""
        raise NotImplementedError

    def _reviewed_paths(self, flow: Flow) -> dict[str, Path]:
        """By volume name, the files of reviewed volumes. Counts in `flow` what has no file or was never reviewed."""
        found: dict[str, Path] = {}
        for path in (path for path in self.files() if path.suffix == ".h5"):
            if path.stem in found:
                flow.refuse(path.name, SourceError(f"{path.name} lies in {self.settings.root} twice. Keep one."))
                continue
            found[path.stem] = path
        reviewed = reviewed_volumes(self.reviewed)
        paths = {name: found[name] for name in reviewed if name in found}
        flow.step(
            "reviewed volumes with a file", len(paths), len(reviewed) - len(paths), "listed, but no file is there"
        )
        flow.step("volumes that were reviewed", len(paths), len(found) - len(paths), f"not in {self.reviewed.name}")
        if not paths:
            raise SourceError(
                f"None of the {len(found)} volumes in {self.settings.root} is listed in {self.reviewed.name}: 0 reviewed "
                "volumes. Check that both are of the knee set."
            )
        return paths

    def _checked(self, volume: Volume, path: Path) -> Volume:
        """Refuse what the settings exclude by mistake rather than by choice."""
        wanted = self.settings.coils
        if wanted == "single" and volume.n_coils > 1:
            raise SourceError(f"{path.name} has {volume.n_coils} coils. Set source.coils to multi (or any).")
        if wanted == "multi" and volume.n_coils == 1:
            raise SourceError(f"{path.name} is single-coil. Set source.coils to single (or any).")
        if self.settings.patient == "attribute" and not volume.patient_id:
            raise SourceError(
                f"{path.name} lacks the attribute patient_id, so it can't be split by patient. Set source.patient=file "
                "if every file is a patient of its own."
            )
        return volume

    def _not_too_wide(self, volumes: dict[str, Volume], flow: Flow) -> dict[str, Volume]:
        limit = self.settings.max_width
        if limit is None:
            return volumes
        kept = {name: volume for name, volume in volumes.items() if volume.phase <= limit}
        flow.step("volumes not too wide", len(kept), len(volumes) - len(kept), f"more than {limit} columns")
        return kept

    def _refuse_twins(self, volumes: dict[str, Volume], paths: Mapping[str, Path], flow: Flow) -> None:
        """Take out volumes whose k-space is the same as another's: under two names they could fall into two splits."""
        first: dict[tuple[object, ...], str] = {}
        for name, volume in sorted(volumes.items()):
            twin = first.setdefault((volume.n_coils, volume.readout, volume.phase, volume.energies), name)
            if twin != name:
                error = SourceError(f"{paths[name].name} holds the same data as {paths[twin].name}. Keep one.")
                flow.refuse(paths[name].name, error)
                del volumes[name]

    def _labels(self, volumes: dict[str, Volume], paths: Mapping[str, Path], flow: Flow) -> pl.DataFrame:
        """Labels by `study` and `item`; volumes with an annotation outside their slices are refused and taken out."""
        settings = self.settings
        table = label_table(self.annotations, self.reviewed, settings.abnormal, settings.labels, settings.study_level)
        labels = pl.from_pandas(table)
        flow.audits["study-level findings"] = labels.filter(pl.col("slice") == STUDY_LEVEL_SLICE).height
        for name, last in labels.group_by("file").agg(pl.col("slice").max()).sort("file").iter_rows():
            if name in volumes and last >= volumes[name].n_slices:
                why = f"{self.annotations.name} annotates slice {last} of {paths[name].name}, which has {volumes[name].n_slices}."
                flow.refuse(paths[name].name, SourceError(why))
                del volumes[name]
        renamed = {name: f"label_{name}" for name in self.labels.names} | {"file": "study", "slice": "item"}
        return labels.rename(renamed)

    def _records(self, name: str, volume: Volume, path: Path) -> pl.DataFrame:
        """One row per slice of a volume, labels apart."""
        strength = volume.field_strength_t
        rows = volume_rows(name, path, volume).with_columns(
            patient=pl.lit(volume.patient_id if self.settings.patient == "attribute" else name),
            group_acquisition=pl.lit(volume.acquisition, pl.String),
            group_field_strength=pl.lit(f"{strength:.1f} T" if strength else None, pl.String),
        )
        return rows.select("patient", pl.exclude("patient"))

    def _with_splits(self, records: pl.DataFrame) -> pl.DataFrame:
        """Add the official split where one is given; a volume that it does not name is an error."""
        path = self.settings.splits
        if path is None:
            return records
        try:
            table = pl.read_csv(path, infer_schema=False).select(pl.col("file").str.strip_suffix(".h5"), "split")
        except (OSError, pl.exceptions.PolarsError) as error:
            raise SourceError(f"Can't read {path} as CSV with the columns file and split.") from error
        joined = records.join(table, left_on="study", right_on="file", how="left", maintain_order="left")
        lost = joined.filter(~pl.col("split").is_in(["train", "valid", "test"]).fill_null(False))
        if lost.height:
            raise SourceError(f"{path.name} gives {lost['study'].n_unique()} volumes no split of train, valid, test.")
        return joined


def volume_rows(name: str, path: Path, volume: Volume) -> pl.DataFrame:
    """One row per slice with what the transforms read: `_path`, `_slice`, `_shape` (slice, coil, readout, phase), `_scale`."""
    shape = [volume.n_slices, volume.n_coils, volume.readout, volume.phase]
    return pl.DataFrame(
        {"study": name, "item": range(volume.n_slices), "_path": str(path.resolve()), "_slice": range(volume.n_slices)},
        schema_overrides={"item": pl.Int64, "_slice": pl.Int64},
    ).with_columns(
        has_rss=pl.lit(volume.has_rss or volume.n_coils > 1),
        _shape=pl.lit(shape, pl.List(pl.Int64)),
        _scale=pl.lit(volume.scale, pl.Float64),
        _masked=pl.lit(volume.masked),
    )


def kept_facts(path: Path, cache: Path) -> Volume:
    """Facts of a volume, read once: kept in `cache` for as long as the file's path, size and time stay the same."""
    status = path.stat()
    key = digest(["fastmri volume 1", str(path.resolve()), status.st_size, status.st_mtime_ns])
    kept = cache / "fastmri" / f"{key[:32]}.json"
    if kept.exists():
        return Volume.model_validate_json(kept.read_text())
    volume = inspect_volume(path)
    write_json(kept, volume.model_dump())
    return volume
