"""A MEDS data set (the Medical Event Data Standard) as a source: the road for MIMIC-IV and for a hospital's own data.

Its events become tables in MIMIC's columns (once, in the cache), and those go the way of MIMIC-III: the same tasks, flags,
arrays and audits. Which codes are read is said in `codes.py`.
"""

import json
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import model_validator

from i2m2_med.errors import SourceError
from i2m2_med.files import digest, existing_folder, replace_folder, sha256_of, sole_user
from i2m2_med.sources import mimic3
from i2m2_med.sources.meds.codes import SPLITS, SPLITS_FILE
from i2m2_med.sources.meds.shards import data_files, is_simulated
from i2m2_med.sources.meds.tables import REMARKS, write_tables
from i2m2_med.sources.mimic3.folders import EVENTS, refuse_other
from i2m2_med.sources.mimic3.items import read_items
from i2m2_med.sources.mimic3.manifest import manifests
from i2m2_med.sources.source import Flow, Progress

VERSION = 6
"""Of the conversion: tables of another are not used again."""


class Settings(mimic3.Settings):
    """`source: {name: meds, root: …}`; also `-s source.name=meds` on a MIMIC-III config. Everything else is as there."""

    came_later = (*mimic3.Settings.came_later, "codes")
    name: Literal["meds"] = "meds"  # type: ignore[assignment]
    root: Path
    """Folder of the MEDS data set: data/**/*.parquet, and metadata/subject_splits.parquet where splits are given."""
    codes: Path | None = None
    """A csv of your own (`code,concept,unit`, see `i2m2_med/sources/meds/mapping.py`) for a data set whose codes are not those of
    MIMIC-IV's conversions, such as eICU's or a hospital's own. Measurements are read by it alone; what it doesn't name is counted."""

    @model_validator(mode="after")
    def has_what_the_task_needs(self) -> "Settings":
        if self.task == "sepsis3":
            raise ValueError(
                "task: sepsis3 needs prescriptions, cultures and infusions, which are read from tables only, not from MEDS"
            )
        return self


class OfEvents(mimic3.Source):
    """Tables made of events: no file of a release, so its row counts don't bind them."""

    held_to_release = False


class Source(mimic3.Source):
    """Modalities as of source mimic3; splits as in the data set, where it says them."""

    settings: Settings  # type: ignore[assignment]

    release = EVENTS

    def files(self) -> list[Path]:
        refuse_other(self.settings.root, self.release)
        existing_folder(self.settings.root, "it should hold a MEDS data set (data/, metadata/)")
        splits = self.settings.root / SPLITS_FILE
        mapping = [existing_file(self.settings.codes)] if self.settings.codes is not None else []
        listed = manifests(self.settings).values()
        return [*data_files(self.settings.root), *([splits] if splits.is_file() else []), *mapping, *listed]

    def ingest(self, folder: Path, cache: Path, flow: Flow, progress: Progress) -> pl.DataFrame:
        tables = self.as_tables(cache, progress)
        conversion = json.loads((tables / REMARKS).read_text(encoding="utf-8"))
        flow.remarks += conversion["remarks"]
        flow.synthetic |= any(is_simulated(path) for path in data_files(self.settings.root))
        content = {**self.settings.model_dump(exclude={"codes"}), "name": "mimic3", "root": tables}
        inner = OfEvents(mimic3.Settings.model_validate(content))
        inner.called = {int(item): names for item, names in conversion["called"].items()}
        records = inner.ingest(folder, cache, flow, progress)
        splits = self.settings.root / SPLITS_FILE
        by_shuffle = self.settings.split == "seed_10"
        return records if by_shuffle or not splits.is_file() else with_splits(records, splits)

    def as_tables(self, cache: Path, progress: Progress) -> Path:
        """The folder of the events' tables, made now unless it is there."""
        files = data_files(self.settings.root)
        progress.say(f"reading {len(files)} MEDS files")
        named = [(str(path.relative_to(self.settings.root)), sha256_of(path)) for path in files]
        mapping = self.settings.codes
        own = [] if mapping is None else [sha256_of(mapping)]
        key = digest([VERSION, named, read_items().select("item", "table").rows(), *own])[:16]
        place = cache / "meds" / key
        with sole_user(place.with_suffix(".converting")):
            if not place.exists():
                with replace_folder(place) as beside:
                    write_tables(files, beside, mapping)
        return place


def existing_file(path: Path) -> Path:
    """The mapping, if it is there. Raises SourceError."""
    if not path.is_file():
        raise SourceError(f"source.codes: {path} is no file; it should be a csv of code,concept,unit")
    return path


def with_splits(records: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The split of each subject as the data set says it. Raises SourceError for a subject without one, or another name."""
    ours = {theirs: name for name, theirs in SPLITS.items()}
    given = pl.read_parquet(path).select(
        pl.col("subject_id").cast(pl.String).alias("patient"),
        pl.col("split").replace_strict(ours, default=None, return_dtype=pl.String),
    )
    joined = records.join(given.unique("patient"), on="patient", how="left", maintain_order="left")
    lost = joined["split"].null_count()
    if lost:
        raise SourceError(
            f"{path.name} says train, tuning or held_out for all but {lost} samples; mend it, or take it out for a split by hash"
        )
    return joined
