"""MultiBench's im.pk as a data set: the paper's own MIMIC-III arrays, as their owner has them.

The file is a pickled dict of arrays without any identifier: `ep_tdata` (row, 24, 12), `adm_features_all` (row, 5),
`adm_labels_all` (row, 6), `y_icd9` (row, group). It is read without running pickled code (`array_pickle`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from i2m2_med.config import settings
from i2m2_med.errors import SourceError
from i2m2_med.files import replace_file
from i2m2_med.sources import source
from i2m2_med.sources.formats.array_pickle import read_arrays
from i2m2_med.sources.mimic3.items import CHANNELS
from i2m2_med.sources.mimic3.labels import labels_of
from i2m2_med.sources.mimic3.records import seed_10
from i2m2_med.sources.mimic3.settings import PROFILES
from i2m2_med.sources.mimic3.settings import Settings as TableSettings
from i2m2_med.sources.mimic3.source import z_scores
from i2m2_med.sources.mimic3.static import STATIC

SERIES, STATICS, DEATHS, CODES = KEYS = ("ep_tdata", "adm_features_all", "adm_labels_all", "y_icd9")


class Settings(settings.Settings):
    """`source: {name: impk, root: im.pk}`; also `-s source.name=impk -s source.root=im.pk` on a MIMIC-III config."""

    name: Literal["impk"] = "impk"
    root: Path
    """The file, or the folder in which it is called im.pk."""
    profile: Literal["clean", "i2m2_compat"] = "i2m2_compat"
    """`i2m2_compat`: statistics and split of the published loader; `clean`: training statistics and a split by hash."""
    task: Literal["mortality", "icd9"] = "mortality"
    """Mortality in six classes, or a group of ICD-9 diagnoses (`icd9_group`)."""
    icd9_group: int = Field(1, ge=0, le=20)
    """Column of `y_icd9`."""
    normalise: Literal["train", "all_samples"] = "all_samples"
    """All samples: NaN → 0, then z-scores over all rows, test set included. Train: the cohort builder's business."""
    split: Literal["by_patient", "seed_10"] = "seed_10"
    """By the run's `split`, or the published shuffle of rows with seed 10."""

    @model_validator(mode="before")
    @classmethod
    def from_profile(cls, given: Any) -> Any:
        """Fill in what the profile says where nothing is given."""
        if not isinstance(given, dict):
            return given
        profile = PROFILES.get(given.get("profile", "i2m2_compat"), {})
        return {**{name: profile[name] for name in ("normalise", "split") if name in profile}, **given}

    def as_tables(self) -> TableSettings:
        """The settings that would make the same arrays from the tables, before any z-scores."""
        task: Any = {"task": self.task, "icd9_group": self.icd9_group, "normalise": "train"}
        return TableSettings(root=self.root, profile="i2m2_compat", **task)


class Source(source.Source):
    """Modalities `series` (24, 12) and `static` (5). A row is a patient: the file holds one admission of each."""

    settings: Settings
    modalities = ("series", "static")

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.labels = labels_of(settings.as_tables())

    def files(self) -> list[Path]:
        root = self.settings.root
        path = root / "im.pk" if root.is_dir() else root
        if not path.is_file():
            raise SourceError(f"{path} is not there; it should be MultiBench's im.pk")
        return [path]

    def ingest(self, folder: Path, cache: Path, flow: source.Flow, progress: source.Progress) -> pl.DataFrame:  # noqa: ARG002
        arrays = read_impk(self.files()[0])
        rows = len(arrays[SERIES])
        flow.step("samples: rows of im.pk", rows)
        made = {"series": arrays[SERIES], "static": arrays[STATICS]}
        if self.settings.normalise == "all_samples":
            made = {name: z_scores(array) for name, array in made.items()}
        for name, array in made.items():
            with replace_file(folder / f"{name}.npy") as beside, beside.open("wb") as file:
                np.save(file, array.astype(np.float32))
        name = self.labels.names[0]
        records = pl.DataFrame(
            {
                "patient": [f"row {row}" for row in range(rows)],
                "study": [f"row {row}" for row in range(rows)],
                "item": np.zeros(rows, np.int32),
                f"label_{name}": label_of(arrays, self.settings),
                "has_series": np.isfinite(made["series"]).any(axis=(1, 2)),
            }
        )
        return records.with_columns(seed_10(rows)) if self.settings.split == "seed_10" else records

    def arrays(self, folder: Path) -> Mapping[str, np.ndarray]:
        return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in self.modalities}

    def study(self, folder: Path) -> source.Study:  # noqa: ARG002
        """No folder: rows of im.pk are scored by a model that was trained on source mimic3."""
        raise SourceError("rows of im.pk are no study folders; score with a model that was trained on source mimic3")


def read_impk(path: Path) -> dict[str, np.ndarray]:
    """The four arrays as float64, their shapes checked. Raises SourceError where they don't belong together."""
    arrays = read_arrays(path, KEYS)
    wanted = {SERIES: (24, len(CHANNELS["saps12"])), STATICS: (len(STATIC),), DEATHS: (6,)}
    for key, shape in wanted.items():
        if arrays[key].shape[1:] != shape:
            expected = ", ".join(map(str, ("row", *shape)))
            raise SourceError(f"{path.name}: {key} has the shape {arrays[key].shape}, not ({expected})")
    if arrays[CODES].ndim != 2 or len({len(array) for array in arrays.values()}) != 1:
        sizes = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
        raise SourceError(f"{path.name}: the arrays don't belong together ({sizes})")
    return arrays


def label_of(arrays: Mapping[str, np.ndarray], settings: Settings) -> np.ndarray:
    """(row,) Int8. Mortality as the published loader reads its nested columns: the first of 1 … 5 that says yes, else 0."""
    if settings.task == "icd9":
        groups = arrays[CODES].shape[1]
        if settings.icd9_group >= groups:
            raise SourceError(f"y_icd9 has {groups} columns; there is no source.icd9_group {settings.icd9_group}")
        return (arrays[CODES][:, settings.icd9_group] > 0).astype(np.int8)
    says = arrays[DEATHS][:, 1:] > 0
    return np.where(says.any(axis=1), says.argmax(axis=1) + 1, 0).astype(np.int8)
