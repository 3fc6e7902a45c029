"""Prepared files that something changed since: one line that names the folder, and never a sample read wrongly."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.config.run import RunConfig
from i2m2_med.console import Progress
from i2m2_med.errors import SourceError
from i2m2_med.samples.cohort import open_cohort
from i2m2_med.samples.preparing import prepare
from i2m2_med.simulate import mimic3

FILES = ("manifest.json", "records.parquet", "series.npy", "state.json", "static.npy")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def emptied(path: Path) -> None:
    path.write_text("{}", encoding="utf-8")


def shorter(path: Path) -> None:
    np.save(path, np.load(path)[1:])


def without_labels(path: Path) -> None:
    pl.read_parquet(path).select(pl.exclude("^label_.*$")).write_parquet(path)


DAMAGES = [
    *((name, how) for name in FILES for how in (Path.unlink, cut, zero)),
    ("manifest.json", emptied),
    ("static.npy", shorter),
    ("records.parquet", without_labels),
]


def test_damaged_files_are_said_in_one_line(tmp_path: Path, work: Path) -> None:
    mimic3.simulate(tmp_path / "data", patients=40, seed=1)
    run, values = load_config("mimic3_demo", (f"source.root={tmp_path / 'data'}",))
    folder = prepare(run, values.name, work, Progress())
    assert set(FILES) <= {path.name for path in folder.iterdir()}
    whole = open_cohort(run, folder)
    for name, how in DAMAGES:
        damaged(run, folder / name, how)
    assert open_cohort(run, folder).fingerprint == whole.fingerprint


def damaged(run: RunConfig, path: Path, how: Callable[[Path], None]) -> None:
    content = path.read_bytes()
    how(path)
    with pytest.raises(SourceError, match="is not as it was prepared") as said:
        open_cohort(run, path.parent)
    assert str(path.parent) in str(said.value)
    path.write_bytes(content)
