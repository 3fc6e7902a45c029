"""Cohorts: prepared data opened for training (`preparing.py` makes them)."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import i2m2_med
from i2m2_med.config.run import RunConfig, nearest
from i2m2_med.errors import ConfigError, SourceError, UserError
from i2m2_med.files import digest, sha256_of
from i2m2_med.samples import normalise
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.disk_cache import DiskCache
from i2m2_med.samples.folds import fold_column
from i2m2_med.samples.further_files import further_files, name_of
from i2m2_med.samples.preparing import arrays_of, code_digest, folder_of, made_by_transforms, open_source
from i2m2_med.sources.source import Labels

COMPUTES = ("monai", "torch", "numpy", "scipy", "pillow", "nibabel", "h5py", "pydicom")
"""Packages that make a sample of a file: what another version made is not used again."""


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """A prepared data set. `folder` is private: it may hold patients' data, and never leaves the machine."""

    folder: Path
    manifest: dict[str, Any]
    records: pl.DataFrame
    labels: Labels
    modalities: tuple[str, ...]
    """The modalities that the run's experts read."""
    arrays: Mapping[str, np.ndarray]
    state: normalise.State
    transform: Any = None
    augment: Any = None
    cache: bool = False
    store: DiskCache | None = None
    deferred: bool = False
    """Whether the transforms compute where a batch is taken (`modalities.device`)."""
    opened: dict[str, Samples] = field(default_factory=dict[str, Samples])

    @property
    def fingerprint(self) -> str:
        """One hash over source files, settings, splits and statistics."""
        return self.manifest["fingerprint"]

    @property
    def splits(self) -> tuple[str, ...]:
        """train, valid, test, and rest where a group was left out of training (`samples/split.py`); of all folds together: test."""
        return tuple(self.manifest["splits"])

    def samples(self, split: str) -> Samples:
        """The samples of one of the `splits`; `train` is augmented."""
        if split not in self.splits:
            raise ConfigError(f"there is no split '{split}'{nearest(split, self.splits)}")
        if split not in self.opened:
            rows = np.flatnonzero((self.records["split"] == split).to_numpy())
            arrays = {name: row_view(array, rows) for name, array in self.arrays.items()}
            augment = self.augment if split == "train" else None
            self.opened[split] = Samples(
                self.records[rows],
                self.labels,
                self.modalities,
                arrays,
                transform=self.transform,
                augment=augment,
                state=self.state,
                cache=self.cache,
                store=self.store,
                deferred=self.deferred,
            )
        return self.opened[split]


def row_view(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Some rows of an array; a memory-mapped one stays on disk where the rows are one block."""
    if isinstance(array, np.memmap) and len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return array[rows[0] : rows[-1] + 1]
    return array[rows]


def open_cohort(run: RunConfig, folder: Path) -> Cohort:
    """Open what `prepare` wrote, with the run's transforms. Of a whole cross-validation all samples are `test`, without statistics."""
    source, fold = open_source(run), run.split.fold
    beside = folder_of(folder, fold)
    with as_prepared(folder):
        labels = source.labels_in(folder)
        arrays = arrays_of(run, source, folder)
        records = read_records(folder, fold, labels, arrays)
        manifest = read_manifest(beside)
        state = {} if run.split.cross_validated else json.loads((beside / "state.json").read_text(encoding="utf-8"))
    modalities = tuple(dict.fromkeys(modality for expert in run.experts.values() for modality in expert.reads))
    return Cohort(
        folder=folder,
        manifest=manifest,
        records=records,
        labels=labels,
        modalities=modalities,
        arrays=arrays,
        state=state,
        transform=compose(run, "transforms"),
        augment=compose(run, "train_transforms"),
        cache=run.modalities.cache is True,
        store=disk_cache(run, folder),
        deferred=run.modalities.device == "cuda",
    )


@contextmanager
def as_prepared(folder: Path) -> Generator[None]:
    """Raise SourceError where prepared files are not what `prepare` wrote."""
    try:
        yield
    except UserError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise SourceError(
            f"{folder} is not as it was prepared ({type(error).__name__}): a file of it is missing, cut off or changed; delete the "
            "folder, and it is prepared again"
        ) from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a prepared folder's manifest. Raises KeyError or TypeError where it lacks what is read of it."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for name in ("fingerprint", "splits", "remarks", "synthetic"):
        manifest[name]
    return manifest


def read_records(folder: Path, fold: int | None, labels: Labels, arrays: Mapping[str, np.ndarray]) -> pl.DataFrame:
    """Return a prepared folder's records, split as a fold is. Raises ValueError where columns or rows of arrays are missing."""
    records = pl.read_parquet(folder / "records.parquet")
    if fold is not None:
        records = records.with_columns(split=pl.col(fold_column(fold)), fold=pl.lit(fold, pl.Int64))
    if {len(array) for array in arrays.values()} - {len(records)}:
        raise ValueError("arrays of another number of rows")
    if missing := {"patient", "study", "split", *(f"label_{name}" for name in labels.names)} - {*records.columns}:
        raise ValueError(f"{len(missing)} columns are missing")
    return records


def disk_cache(run: RunConfig, prepared: Path) -> DiskCache | None:
    """Where samples are kept after the run's transforms, if it asks for that: beside the prepared folders, shared by all of them."""
    if run.modalities.cache != "disk":
        return None
    beside = [(name_of(path), sha256_of(path)) for path in further_files(run)]
    made_by = [i2m2_med.__version__, *map(version_of, COMPUTES)]
    key = digest([run.modalities.transforms, run.plugins, beside, code_digest(), made_by])
    return DiskCache(prepared.parent.parent / "cache" / "samples" / key[:16], made_by_transforms(run))


def version_of(package: str) -> str | None:
    """Return a package's version; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def compose(run: RunConfig, which: str) -> Any:
    """MONAI's Compose over the config's transforms, or None where there are none."""
    blocks = getattr(run.modalities, which)
    if not blocks:
        return None
    from monai.transforms.compose import Compose

    from i2m2_med.config.targets import build
    from i2m2_med.samples.complex_checks import refuse_real_only
    from i2m2_med.samples.growth import bounded
    from i2m2_med.samples.reseed import refuse_random

    refuse_real_only(blocks, open_source(run).complex_keys)
    steps = [
        build(block, "transform", f"modalities.{which}[{index}]", run.plugins) for index, block in enumerate(blocks)
    ]
    if which == "transforms":
        refuse_random(steps)
    return Compose([part for step, block in zip(steps, blocks, strict=True) for part in bounded(step, block)])
