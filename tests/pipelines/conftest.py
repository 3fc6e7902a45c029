"""Small simulated tables, and a small comparison in a workspace of its own; each made once, training takes seconds."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from i2m2_med.engine.tracking.read import FoundRun, find_run
from i2m2_med.engine.tracking.store import store_uri
from i2m2_med.simulate.mimic3 import write as mimic3


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MIMIC-III tables of 150 simulated patients."""
    out = tmp_path_factory.mktemp("simulated") / "mimic3"
    mimic3.simulate(out, patients=150, seed=3)
    return out


@dataclass(frozen=True)
class Compared:
    """Where the comparison lies, and its runs."""

    workspace: Path
    data: Path
    uri: str
    parent: str
    runs: dict[str, str]
    """By paradigm."""

    def run(self, paradigm: str) -> FoundRun:
        return find_run(self.uri, self.runs[paradigm])


@pytest.fixture(scope="session")
def compared_once(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    return compare_knees(tmp_path_factory.mktemp("compared"))


def compare_knees(folder: Path) -> Compared:
    """Two unimodal paradigms of the knee demo on simulated knees, one epoch."""
    from i2m2_med.pipelines.compare import main

    from i2m2_med.simulate.knee.write import simulate

    simulate(folder / "knee_data", volumes=16, slices=3, matrix="64x64", seed=2)
    settings = {
        "training.epochs": 1,
        "evaluation.bootstrap": 20,
        "split.test": 0.4,
        "split.valid": 0.3,
        "source.root": folder / "knee_data",
        "evaluation.primary": "null",
        "paradigms.left.experts": ["magnitude"],
        "paradigms.right.experts": ["phase"],
        "paradigm": "left",
    }
    before = os.environ.get("I2M2_WORK")
    os.environ["I2M2_WORK"] = str(folder / "work")
    try:
        made = main("knee_demo", set_=tuple(f"{key}={value}" for key, value in settings.items()))
    finally:
        os.environ.pop("I2M2_WORK") if before is None else os.environ.update(I2M2_WORK=before)
    runs = dict(zip(("left", "right"), made["runs"], strict=True))
    return Compared(folder / "work", folder / "knee_data", store_uri(folder / "work"), made["run"], runs)


@pytest.fixture
def compared(compared_once: Compared, monkeypatch: pytest.MonkeyPatch) -> Compared:
    """The comparison, with its workspace as the workspace."""
    monkeypatch.setenv("I2M2_WORK", str(compared_once.workspace))
    return compared_once
