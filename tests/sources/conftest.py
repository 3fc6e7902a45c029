"""A small simulated knee data set in fastMRI's format, made once; tests that break it copy it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from i2m2_med.simulate.knee import write as knee
from i2m2_med.sources.fastmri.source import Settings, Source
from i2m2_med.sources.source import Flow, Progress

ROWS, COLUMNS, SLICES = 64, 45, 3


@pytest.fixture(scope="session")
def knees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight single-coil volumes of 64 × 45, three slices each."""
    folder = tmp_path_factory.mktemp("knees") / "data"
    knee.simulate(folder, volumes=8, slices=SLICES, matrix=f"{ROWS}x{COLUMNS}", seed=1)
    return folder


@pytest.fixture
def broken(knees: Path, tmp_path: Path) -> Callable[[Callable[[h5py.File], object]], Path]:
    """A copy of the data set in which one change was made to its first reviewed volume."""

    def change(edit: Callable[[h5py.File], object]) -> Path:
        folder = tmp_path / "broken"
        shutil.copytree(knees, folder)
        with h5py.File(first_volume(folder), "r+") as file:
            edit(file)
        return folder

    return change


def first_volume(folder: Path) -> Path:
    """The file of the first volume that was reviewed."""
    name = (folder / "knee_file_list.csv").read_text(encoding="utf-8").split()[0]
    return next(folder.rglob(f"{name}.h5"))


def ingest(folder: Path, cache: Path, flow: Flow | None = None, **settings: object):
    """Records of a folder."""
    source = Source(Settings(root=folder, **settings))
    return source.ingest(cache / "out", cache / "cache", flow or Flow(), Progress())


def rewrite(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[h5py.File], None]:
    """An edit that stores another array as k-space."""

    def edit(file: h5py.File) -> None:
        changed = change(file["kspace"][()])
        del file["kspace"]
        file["kspace"] = changed

    return edit
