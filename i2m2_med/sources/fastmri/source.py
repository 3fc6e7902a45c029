"""fastMRI volumes of knees or brains with fastMRI+ labels → one record per slice. Nothing is copied: records carry path and slice number.

`root` holds the volumes (in subfolders as downloaded) and the annotations, `knee.csv` and `knee_file_list.csv` (or `brain.csv`
and `brain_file_list.csv`). Volumes may be fastMRI HDF5, ISMRMRD raw data or NIfTI magnitude/phase pairs; the annotations name them by file name.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import model_validator

from i2m2_med.config.settings import Settings as ClosedSettings
from i2m2_med.errors import SourceError
from i2m2_med.files import existing_folder
from i2m2_med.sources.fastmri.download import Walk, of_kind, part_of_download, walk_folder
from i2m2_med.sources.fastmri.labels import (
    PUBLISHED_RULES,
    STUDY_LEVEL_SLICE,
    Abnormal,
    Anatomy,
    LabelRule,
    label_names,
    label_table,
    reviewed_volumes,
)
from i2m2_med.sources.fastmri.slices import VolumeFiles, group_volumes, kept_facts
from i2m2_med.sources.fastmri.study import open_study, volume_rows
from i2m2_med.sources.fastmri.vanished import refuse_vanished, remember_files
from i2m2_med.sources.formats.ismrmrd_counters import Choice
from i2m2_med.sources.formats.volume import Volume
from i2m2_med.sources.source import Bound, Flow, Kind, Labels, Progress, Study
from i2m2_med.sources.source import Source as BaseSource

HOPELESS = 20
"""Where so many volumes in a row, from the first on, are bad, it is the settings or the folder: the rest is not read."""


class Settings(ClosedSettings):
    """`source: {name: fastmri, …}`."""

    came_later = ("ismrmrd", "anatomy", "no_findings", "study_labels")
    name: Literal["fastmri"] = "fastmri"
    root: Path
    """Folder of the fastMRI volumes; subfolders are searched, linked ones too."""
    anatomy: Anatomy = "knee"
    """Which set of fastMRI, and so which annotations of fastMRI+."""
    annotations: Path | None = None
    """fastMRI+ `knee.csv` (or `brain.csv`); in `root` unless given."""
    reviewed: Path | None = None
    """fastMRI+ `knee_file_list.csv` (or `brain_file_list.csv`), the volumes that were reviewed; in `root` unless given."""
    coils: Literal["single", "multi", "any"] = "single"
    """`single`: k-space without coil axis; `multi`: with; `any`: both. Of `singlecoil_*` and `multicoil_*` side by side, only those count."""
    abnormal: Abnormal = "other"
    """Meaning of the label `abnormal`: `other` = a finding that no rule names (published); `any` = any finding; `none` = no such label."""
    labels: Mapping[str, LabelRule] = PUBLISHED_RULES
    """Label rules: by label, which of fastMRI+'s strings are evidence for it."""
    no_findings: tuple[str, ...] = ()
    """Strings of fastMRI+ that are no finding for `abnormal`, such as "Normal for age"."""
    study_labels: tuple[str, ...] = ()
    """Labels of whole studies: every slice has its volume's label, so only figures per volume say something."""
    study_level: Literal["apart", "slice"] = "apart"
    """Findings about a whole study: `apart` = no slice's label; `slice` = the first slice's (published)."""
    patient: Literal["attribute", "file"] = "attribute"
    """Who a volume belongs to: its `patient_id`, or each file a patient of its own (volumes of one person may then be split apart)."""
    ismrmrd: Choice = Choice()
    """Which image of an ISMRMRD file that holds several (contrasts, sets, phases, repetitions)."""
    max_width: int | None = None
    """Leave out volumes with more phase-encoding columns (published: 400)."""
    splits: Path | None = None
    """CSV with the columns `file` and `split` (train, valid or val, test), where an official split is to be kept."""

    @model_validator(mode="after")
    def _labels_fit(self) -> "Settings":
        if self.anatomy != "knee" and self.labels == PUBLISHED_RULES:
            raise ValueError(f"labels are the knee's; give those of the {self.anatomy} (see fastmri_brain_i2m2)")
        unknown = [name for name in self.study_labels if name not in self.labels]
        if unknown:
            raise ValueError(
                f"study_labels names '{unknown[0]}', which is not one of labels ({', '.join(self.labels)})"
            )
        return self


class Source(BaseSource):
    """fastMRI, knee or brain, single- or multi-coil, masked or fully sampled."""

    settings: Settings
    pictured_by = "i2m2_med.samples.fastmri.picture"
    drawn_by = "i2m2_med.samples.fastmri.example"
    shifted_by = "i2m2_med.samples.fastmri.shifts"
    imaged_by = "i2m2_med.samples.fastmri.study_images"
    held_apart_by = "group_acquisition"
    bounds = {
        "_shape": Bound(("number of slices", "number of coils", "size (readout)", "size (phase)"), 1.25),
        "_scale": Bound(("scale",), 3.0),
        "_voxel_mm": Bound(("pixel size (rows)", "pixel size (columns)", "slice spacing"), 1.1),
    }
    kinds = {
        "_lines": Kind("k-space with", plain=True),
        "_anatomy": Kind("anatomy"),
        "_plane": Kind("orientation"),
        "_phase_source": Kind("unit and reference of the phase (computed, or an image's)"),
        "_reading": Kind("a volume with", plain=True),
        "_phase_unit": Kind("phase stored in", plain=True),
        "group_acquisition": Kind("acquisition"),
        "group_field_strength": Kind("field strength"),
    }
    complex_keys = ("kspace", "image")

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.labels = Labels(label_names(settings.labels, settings.abnormal), ("absent", "present"))
        self.modalities = ("magnitude", "phase", "rss", "real", "imaginary")
        self.annotations = settings.annotations or settings.root / f"{settings.anatomy}.csv"
        self.reviewed = settings.reviewed or settings.root / f"{settings.anatomy}_file_list.csv"

    @property
    def label_rules(self) -> dict[str, str]:
        """Return the meaning of `abnormal`, as fastMRI+ has no such label, and which labels are of whole studies."""
        meaning = {"other": "any finding other than the named ones (as published)", "any": "any finding at all"}
        of_studies = dict.fromkeys(self.settings.study_labels, "of the whole study: each slice has its volume's label")
        abnormal = meaning.get(self.settings.abnormal)
        return of_studies if abnormal is None else {"abnormal": abnormal, **of_studies}

    def files(self) -> list[Path]:
        """The annotation files and every volume, reviewed or not. Raises SourceError where one is missing."""
        volumes = dict.fromkeys(path for volume in self._volumes(Flow()) for path in volume.content)
        wanted = {"annotations": self.annotations, "reviewed": self.reviewed, "splits": self.settings.splits}
        tables = {name: path for name, path in wanted.items() if path is not None}
        for name, path in tables.items():
            if not path.is_file():
                raise SourceError(f"{path} is missing. Put fastMRI+'s file there, or set source.{name} to where it is.")
        return [*tables.values(), *volumes]

    def ingest(self, folder: Path, cache: Path, flow: Flow, progress: Progress) -> pl.DataFrame:  # noqa: ARG002
        """One row per slice of every reviewed volume that is whole, in the order of volume name and slice."""
        volume_files = self._reviewed_volumes(cache, flow)
        volumes: dict[str, Volume] = {}
        for name, files in progress.track(volume_files.items(), "reading volumes", len(volume_files)):
            try:
                volumes[name] = self._fitting(kept_facts(files, cache, self.settings.ismrmrd), file_name(files))
            except SourceError as error:
                flow.set_aside(file_name(files), error)
            if len(flow.bad) == HOPELESS and not volumes:
                flow.stop_where_bad(HOPELESS)
        flow.synthetic |= any(volume.simulated for volume in volumes.values())
        self._leave_out_wide(volumes, flow)
        refuse_twins(volumes, volume_files, flow)
        labels = self._labels(volumes, volume_files, flow)
        flow.stop_where_bad(len(volume_files))
        flow.audits |= geometry_audits(volumes.values())
        if not volumes:
            raise SourceError(f"No volume in {self.settings.root} can be used: {len(flow.refused)} were refused.")
        flow.step("volumes", len(volumes), len(volume_files) - len(volumes), "refused, or left out above")
        frames = [self._records(volume, volume_files[name]) for name, volume in sorted(volumes.items())]
        records = self._labelled(pl.concat(frames), labels)
        flow.step("slices", records.height)
        records = with_splits(records, self.settings.splits)
        remember_files(self.settings.root, {name: file_name(volume_files[name]) for name in volumes}, cache)
        return records

    def study(self, folder: Path) -> Study:
        """One volume in a study's folder, or as a file of its own.

        It may be fastMRI or ISMRMRD raw data (*.h5), k-space (*.npy, BART's *.cfl), NIfTI images (magnitude and phase, real and
        imaginary, or the one that was acquired), or MR DICOM files. Where there are several, `study.yaml` says which counts: `kspace: FILE`.
        """
        return open_study(folder, self.settings.ismrmrd)

    def _volumes(self, flow: Flow) -> list[VolumeFiles]:
        """Every volume of the kind that is asked for. Says in `flow` what was left out, and how links were taken."""
        root = existing_folder(
            self.settings.root, f"it should hold the fastMRI {self.settings.anatomy} volumes (*.h5); set source.root"
        )
        walk = walk_folder(root)
        files = [path for path in walk.files if not path.name.startswith(".")]
        wanted = of_kind(files, root, self.settings.coils)
        flow.audits |= link_audits(walk)
        volumes = [volume for volume in group_volumes(wanted) if volume.paths[0].suffix != ".npy"]
        if not volumes:
            raise SourceError(f"{root} holds no fastMRI volume (*.h5). Set source.root to the folder that does.")
        if len(wanted) < len(files):
            flow.step(
                "files in folders of the wanted coils",
                len(wanted),
                len(files) - len(wanted),
                "in folders of the other kind",
            )
        return volumes

    def _reviewed_volumes(self, cache: Path, flow: Flow) -> dict[str, VolumeFiles]:
        """By name, the volumes that were reviewed. Counts in `flow` what has no file or was never reviewed, and refuses what vanished."""
        here: dict[str, VolumeFiles] = {}
        for files in self._volumes(flow):
            if files.name in here:
                error = SourceError(
                    f"{file_name(files)} lies in {self.settings.root} twice. Name the folder of one kind of volumes (source.root)."
                )
                flow.refuse(file_name(files), error)
            else:
                here[files.name] = files
        reviewed = reviewed_volumes(self.reviewed, self.settings.anatomy)
        volume_files = {name: here[name] for name in reviewed if name in here}
        refuse_vanished(self.settings.root, (name for name in reviewed if name not in here), cache, flow)
        flow.step(
            "reviewed volumes with a file",
            len(volume_files),
            len(reviewed) - len(volume_files),
            "listed, but no file is there",
        )
        flow.step(
            "volumes that were reviewed",
            len(volume_files),
            len(here) - len(volume_files),
            f"not in {self.reviewed.name}",
        )
        if not volume_files:
            raise SourceError(
                f"0 reviewed volumes: none of the {len(here)} in {self.settings.root} is listed in {self.reviewed.name}. "
                f"Check that both are of the {self.settings.anatomy} set."
            )
        return volume_files

    def _fitting(self, volume: Volume, name: str) -> Volume:
        """Refuse what contradicts the settings, which more likely are wrong than the volume."""
        wanted = self.settings.coils
        if wanted == "single" and volume.n_coils > 1:
            raise SourceError(f"{name} has {volume.n_coils} coils. Set source.coils to multi (or any).")
        if wanted == "multi" and volume.n_coils == 1:
            raise SourceError(f"{name} is single-coil. Set source.coils to single (or any).")
        if self.settings.patient == "attribute" and not volume.patient_id:
            raise SourceError(
                f"{name} lacks the attribute patient_id, so it can't be split by patient. Set source.patient=file if "
                "every file is a patient of its own."
            )
        return volume

    def _leave_out_wide(self, volumes: dict[str, Volume], flow: Flow) -> None:
        limit = self.settings.max_width
        wide = [name for name, volume in volumes.items() if limit is not None and volume.phase > limit]
        for name in wide:
            del volumes[name]
        if limit is not None:
            flow.step("volumes not too wide", len(volumes), len(wide), f"more than {limit} phase-encoding columns")

    def _labels(self, volumes: dict[str, Volume], volume_files: Mapping[str, VolumeFiles], flow: Flow) -> pl.DataFrame:
        """Labels by `study` and `item`; volumes with an annotation outside their slices are refused and taken out."""
        settings = self.settings
        table = label_table(
            self.annotations,
            self.reviewed,
            settings.abnormal,
            settings.labels,
            settings.study_level,
            anatomy=settings.anatomy,
            no_findings=settings.no_findings,
        )
        labels = pl.from_pandas(table)
        flow.audits["abnormal means"] = {"other": "a finding that no rule names", "any": "any finding"}.get(
            settings.abnormal
        )
        flow.audits["study-level findings kept apart"] = labels.filter(pl.col("slice") == STUDY_LEVEL_SLICE).height
        for name, last in labels.group_by("file").agg(pl.col("slice").max()).sort("file").iter_rows():
            if name in volumes and last >= volumes[name].n_slices:
                why = f"{self.annotations.name} annotates slice {last} of {file_name(volume_files[name])}, which has {volumes[name].n_slices}."
                flow.set_aside(file_name(volume_files[name]), SourceError(why))
                del volumes[name]
        renamed = {name: f"label_{name}" for name in self.labels.names} | {"file": "study", "slice": "item"}
        return labels.rename(renamed)

    def _labelled(self, records: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
        """Records with the labels of their slices, or of their whole volume; a slice without a row has none of the findings."""
        of_studies = [f"label_{name}" for name in self.settings.study_labels]
        of_slices = labels.drop(of_studies)
        joined = records.join(of_slices, on=["study", "item"], how="left", maintain_order="left")
        if of_studies:
            whole = labels.group_by("study").agg(pl.col(of_studies).max())
            joined = joined.join(whole, on="study", how="left", maintain_order="left")
        return joined.with_columns(pl.col(f"label_{name}").fill_null(0) for name in self.labels.names)

    def _records(self, volume: Volume, files: VolumeFiles) -> pl.DataFrame:
        """One row per slice of a volume, labels apart."""
        patient = volume.patient_id if self.settings.patient == "attribute" else files.name
        rows = volume_rows(files, volume, self.settings.ismrmrd)
        part = part_of_download(files.paths[0], self.settings.root)
        return rows.select(pl.lit(patient).alias("patient"), pl.all(), pl.lit(part, pl.String).alias("_official"))


def geometry_audits(volumes: Iterable[Volume]) -> dict[str, Any]:
    """How many volumes were resampled, have no orientation, or were read in part, and which part."""
    known = list(volumes)
    remarks = Counter(remark for volume in known for remark in volume.remarks)
    return {
        "volumes whose pixels are not those of k-space, sampled by millimetres": sum(one.resampled for one in known),
        "volumes whose format has no orientation (nominal)": sum(one.affine is None for one in known),
        **{f"volumes with {remark}": count for remark, count in sorted(remarks.items())},
    }


def link_audits(walk: Walk) -> dict[str, Any]:
    """How links to folders were taken, where there are any."""
    counts = {
        "linked folders outside the root that were read": walk.outside,
        "links to folders not followed": walk.left,
    }
    return {what: count for what, count in counts.items() if count}


def file_name(files: VolumeFiles) -> str:
    """Return the name that messages call a volume by: that of its first file."""
    return files.paths[0].name


def refuse_twins(volumes: dict[str, Volume], volume_files: Mapping[str, VolumeFiles], flow: Flow) -> None:
    """Take out volumes whose data are another's: under two names they could fall into two splits. Slice energies tell."""
    first: dict[object, str] = {}
    for name, volume in sorted(volumes.items()):
        twin = first.setdefault((volume.n_coils, volume.readout, volume.phase, volume.energies), name)
        if twin != name:
            flow.set_aside(
                file_name(volume_files[name]),
                SourceError(
                    f"{file_name(volume_files[name])} holds the same data as {file_name(volume_files[twin])}. Keep one."
                ),
            )
            del volumes[name]
    flow.audits["volumes with the same data under two names"] = "none left"


MOST_NAMED = 5
"""Volumes that an error names."""


def with_splits(records: pl.DataFrame, path: Path | None) -> pl.DataFrame:
    """Add the official split where one is given; a volume that it does not name is an error."""
    if path is None:
        return records
    try:
        table = pl.read_csv(path, infer_schema=False).select(pl.col("file").str.strip_suffix(".h5"), "split")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"Can't read {path} as CSV with the columns file and split.") from error
    table = table.with_columns(pl.col("split").str.strip_chars().replace("val", "valid"))
    joined = records.join(table.unique(), left_on="study", right_on="file", how="left", maintain_order="left")
    lost = joined.filter(~pl.col("split").is_in(["train", "valid", "test"]).fill_null(False))["study"].unique().sort()
    if len(lost):
        named = ", ".join(lost.head(MOST_NAMED)) + (" …" if len(lost) > MOST_NAMED else "")
        raise SourceError(
            f"{path.name} gives {len(lost)} of {records['study'].n_unique()} volumes no split of train, valid, test: {named}; "
            "add a row with file and split for each"
        )
    return joined
