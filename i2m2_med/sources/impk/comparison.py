"""An owner's im.pk and our own arrays of the published profile, row by row and column by column."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.sources import mimic3
from i2m2_med.sources.impk import source as impk
from i2m2_med.sources.mimic3.grid import channel_names
from i2m2_med.sources.mimic3.static import STATIC
from i2m2_med.sources.source import Flow, Progress

EQUAL = 1e-4
"""Two numbers are equal if they differ by less than this share of their size: float32 beside sums of another order."""


@dataclass(frozen=True)
class ColumnDifferences:
    """Differences by column, over the samples that both tables hold, and numbers of samples."""

    rows: list[dict[str, Any]]
    theirs: int
    ours: int
    matched: int


def our_table(settings: Any, cache: Path, progress: Progress) -> dict[str, np.ndarray]:
    """Columns (sample, …) by name, as `their_table`, from the MIMIC-III tables. Raises ConfigError for another source."""
    if not isinstance(settings, mimic3.Settings) or settings.task == "ihm48":
        raise ConfigError("compare-impk compares the tasks mortality and icd9 of source mimic3; name such a config")
    source = mimic3.Source(settings)
    with TemporaryDirectory() as folder:
        records = source.ingest(Path(folder), cache, Flow(), progress)
        series, static = (np.array(source.arrays(Path(folder))[name], np.float64) for name in ("series", "static"))
    names = channel_names(settings.model_copy(update={"series_channels": ("value",)}))
    label = source.labels.names[0]
    return columns(series, static, names, label, records[f"label_{label}"].to_numpy())


def their_table(path: Path, settings: Any) -> dict[str, np.ndarray]:
    """The same columns of an im.pk, for the same task."""
    task = {"task": settings.task, "icd9_group": settings.icd9_group}
    file = impk.Settings(root=path, **task)
    arrays = impk.read_impk(impk.Source(file).files()[0])
    names = channel_names(file.as_tables())
    label = impk.Source(file).labels.names[0]
    return columns(arrays[impk.SERIES], arrays[impk.STATICS], names, label, impk.label_of(arrays, file))


def columns(
    series: np.ndarray, static: np.ndarray, names: list[str], label: str, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """(sample, hour) by channel, (sample,) by static column, and the label."""
    of_series = {f"series: {name}": series[:, :, place] for place, name in enumerate(names)}
    of_static = {f"static: {name}": static[:, place] for place, name in enumerate(STATIC)}
    return {**of_series, **of_static, f"label: {label}": labels.astype(np.float64)}


def compare_columns(theirs: Mapping[str, np.ndarray], ours: Mapping[str, np.ndarray]) -> ColumnDifferences:
    """Align the samples (both come in the order of admission ids) and measure every column. Raises SourceError if none fits."""
    left, right = aligned(static_rows(theirs), static_rows(ours))
    if not len(left):
        raise SourceError(
            "no sample of im.pk has the static columns of one of ours; are these the tables it was made from?"
        )
    rows = [{"column": name, **difference(theirs[name][left], ours[name][right])} for name in theirs]
    label = next(name for name in theirs if name.startswith("label"))
    return ColumnDifferences(rows, len(theirs[label]), len(ours[label]), len(left))


def static_rows(table: Mapping[str, np.ndarray]) -> list[tuple[int, ...]]:
    """Return the static columns of each sample (age to the day), by which samples are told apart."""
    static = np.stack([table[f"static: {name}"] for name in STATIC], axis=1)
    return [tuple(row) for row in np.nan_to_num(np.round(static), nan=-1).astype(int).tolist()]


def aligned(left: list[tuple[int, ...]], right: list[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """(row of left, row of right) of what stands in both, in order; either may hold samples that the other lacks."""
    blocks = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    pairs = [(block.a + step, block.b + step) for block in blocks for step in range(block.size)]
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def difference(theirs: np.ndarray, ours: np.ndarray) -> dict[str, Any]:
    """Over cells: largest and mean absolute difference, share of equal ones, and where only one side has a number."""
    here, there = np.isfinite(theirs), np.isfinite(ours)
    both = here & there
    apart = np.abs(theirs[both] - ours[both])
    size = np.maximum(1, np.abs(ours[both]))
    return {
        "cells": int(both.sum()),
        "max": float(apart.max(initial=0)),
        "mean": float(apart.mean()) if apart.size else 0.0,
        "equal": float((apart <= EQUAL * size).mean()) if apart.size else 1.0,
        "only_theirs": int((here & ~there).sum()),
        "only_ours": int((there & ~here).sum()),
    }
