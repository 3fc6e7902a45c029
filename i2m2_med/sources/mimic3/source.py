"""MIMIC-III: tables on disk → records and arrays (series, static, notes)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.files import replace_file
from i2m2_med.sources.mimic3 import settings as mimic3_settings
from i2m2_med.sources.mimic3.attached import attach, files_of
from i2m2_med.sources.mimic3.audits import audit_ingest, audit_splits
from i2m2_med.sources.mimic3.cohort import gather, select
from i2m2_med.sources.mimic3.coverage import coverage
from i2m2_med.sources.mimic3.database import copy_tables
from i2m2_med.sources.mimic3.folders import THREE, refuse_other
from i2m2_med.sources.mimic3.grid import channel_names
from i2m2_med.sources.mimic3.ingest import Ingested, find_table, ingest_table, is_simulated
from i2m2_med.sources.mimic3.judging import judge_table, name_unknown, name_unseen
from i2m2_med.sources.mimic3.labels import labels_of
from i2m2_med.sources.mimic3.manifest import manifests
from i2m2_med.sources.mimic3.notes import read_notes
from i2m2_med.sources.mimic3.records import records
from i2m2_med.sources.mimic3.sampling import sample
from i2m2_med.sources.mimic3.static import STATIC, static
from i2m2_med.sources.mimic3.study import open_study
from i2m2_med.sources.mimic3.tables import TABLES
from i2m2_med.sources.source import Flow, Progress, Study
from i2m2_med.sources.source import Source as BaseSource
from i2m2_med.sources.text.tokens import tokens


class Source(BaseSource):
    """`source: {name: mimic3, root: …}`. Modalities: `series` (hour, channel), `static` (5), and with `notes: {}` also
    `notes` (chunk, token)."""

    settings: mimic3_settings.Settings
    held_to_release: bool = True
    """Whether row counts are held against those of the releases."""
    release: str = THREE
    """The data set that `root` should hold."""
    folders: tuple[str, ...] = ()
    """Folders of `root` in which its tables lie; none: `root` itself."""
    note_tables: tuple[str, ...] = ("NOTEEVENTS",)
    """Tables of notes, of which one at least has to be there where notes are read."""
    infusion_tables: tuple[str, ...] = ("INPUTEVENTS_MV", "INPUTEVENTS_CV")
    """Tables of infusions, read for Sepsis-3."""
    called: Mapping[int, Sequence[str]] = MappingProxyType({})
    """By item, the codes that stand for it, where they aren't its number."""
    schemas: tuple[str, ...] = ("mimiciii",)
    """Schemas that a database holds the tables in."""
    shifted_by = "i2m2_med.samples.mimic3.shifts"
    drawn_by = "i2m2_med.samples.mimic3.example"
    held_apart_by = "group_source"

    def __init__(self, settings: mimic3_settings.Settings) -> None:
        super().__init__(settings)
        self.labels = labels_of(settings)
        self.in_arrays = ("series", "static", *(("notes",) if settings.notes else ()))
        self.modalities = (*self.in_arrays, *manifests(settings))
        self.channels = {"series": len(channel_names(settings)), "static": len(STATIC)}

    def tables(self) -> dict[str, Path]:
        """The files of the tables that are read. Raises SourceError that names all missing ones."""
        notes = self.note_tables if self.settings.notes else ()
        sepsis = (
            ("PRESCRIPTIONS", "MICROBIOLOGYEVENTS", *self.infusion_tables) if self.settings.task == "sepsis3" else ()
        )
        wanted = [*(name for name in TABLES if name != "NOTEEVENTS"), *notes, *sepsis]
        if self.settings.database is not None:
            copy_tables(self.settings.database, wanted, self.settings.root, self.schemas)
        else:
            refuse_other(self.settings.root, self.release)
        paths = {name: find_table(self.settings.root, name, self.folders) for name in wanted}
        missing = [name for name, path in paths.items() if path is None]
        if any(paths[name] for name in notes):
            missing = [name for name in missing if name not in notes]
        if missing:
            raise SourceError(
                f"{self.settings.root} lacks the table{'s' * (len(missing) > 1)} {', '.join(missing)} "
                f"(as NAME.csv.gz, NAME.csv or NAME.parquet)"
            )
        return {name: path for name, path in paths.items() if path is not None}

    def files(self) -> list[Path]:
        return [*self.tables().values(), *manifests(self.settings).values()]

    def attached(self) -> Mapping[str, Sequence[Path]]:
        return files_of(self.settings)

    def ingest(self, folder: Path, cache: Path, flow: Flow, progress: Progress) -> pl.DataFrame:
        files = self.tables()
        tables: dict[str, Ingested] = {}
        for name, path in progress.track(files.items(), "tables", len(files)):
            tables[name] = ingest_table(path, name, cache / "mimic3", progress)
            judge_table(name, path, tables[name], self.settings.unreadable, flow)
        flow.synthetic |= any(is_simulated(path) for path in files.values())
        audit_ingest(tables, files, self.settings, flow, self.held_to_release)
        self.remark(tables, flow)
        stays, admissions = gather(tables, flow)
        cohort = select(self.settings, stays, admissions, flow)
        progress.say("measuring")
        samples, grid, values, kept = sample(tables, cohort, self.settings, flow)
        flow.coverage = coverage(values, kept, flow.audits["items"], self.settings, self.called)
        arrays = {"series": grid, "static": static(tables, samples, self.settings)}
        if self.settings.notes:
            arrays["notes"] = self.notes(tables, samples, folder, flow)
        name_unseen(seen(channel_names(self.settings), grid), seen(STATIC, arrays["static"]), flow)
        made = records(tables, samples, arrays, attach(samples, self.settings, flow), self.settings)
        name_unknown(made, flow)
        if self.settings.normalise == "all_samples":
            arrays |= {name: z_scores(arrays[name]) for name in ("series", "static")}
        for name, array in arrays.items():
            with replace_file(folder / f"{name}.npy") as beside, beside.open("wb") as file:
                np.save(file, array)
        return made

    def remark(self, tables: Mapping[str, Ingested], flow: Flow) -> None:
        """Say in the manifest what is known of the release that the tables are of."""

    def notes(self, tables: Mapping[str, Ingested], samples: pl.DataFrame, folder: Path, flow: Flow) -> np.ndarray:
        """Tokens (row, chunk, token); the chunks' text stays beside them as `notes.parquet`, for encoders that bring their own."""
        assert self.settings.notes is not None
        written = pl.concat([tables[name].scan() for name in self.note_tables if name in tables])
        chunks, counts = read_notes(written, samples, self.settings)
        flow.audits["notes"] = counts
        with replace_file(folder / "notes.parquet") as beside:
            chunks.write_parquet(beside)
        return tokens(chunks, samples.height, self.settings.notes)

    def audits(self, records: pl.DataFrame, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return audit_splits(records, dict(arrays), self.settings, self.labels.names)

    def arrays(self, folder: Path) -> Mapping[str, np.ndarray]:
        return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in self.in_arrays}

    def study(self, folder: Path) -> Study:
        """Any of these in a study's folder: `series.csv` (time, concept, value, unit), `static.json`, `notes/HOURS_category.txt`.

        Times are hours since admission to intensive care. What is not there is an absent modality; what can't be understood is refused.
        """
        return open_study(folder, self.settings)


def seen(names: Sequence[str], values: np.ndarray) -> dict[str, bool]:
    """By name along the last axis: whether any row has a value."""
    known = np.isfinite(values).reshape(-1, values.shape[-1])
    return {name: bool(known[:, place].any()) for place, name in enumerate(names)}


def z_scores(values: np.ndarray) -> np.ndarray:
    """As the published loader: what was not measured is 0, then z-scores over all samples (and hours), test set included."""
    known = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    axes = tuple(range(known.ndim - 1))
    spread = known.std(axis=axes)
    return ((known - known.mean(axis=axes)) / np.where(spread > 0, spread, 1)).astype(np.float32)
