"""A hospital's archive in small, and real k-space."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from i2m2_med.scoring.workers.engine import local_engine
from i2m2_med.simulate.studies import simulate

from .conftest import untrained
from .test_run import score_all

NOT_READ = {"note_not_utf8"}
"""Damage to what the model does not read."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["knee", "mimic3"])
def test_every_pattern_and_forty_kinds_of_damage(kind: Any, tmp_path: Path) -> None:
    said = simulate(tmp_path / "studies", kind=kind, count=250, seed=4, damage=True, matrix="64x48", slices=1)
    config, state = "knee_demo", {}
    if kind == "mimic3":
        config = "mimic3_demo"
        state = {name: {"mean": [0.0] * n, "std": [50.0] * n} for name, n in {"series": 12, "static": 5}.items()}
    model = untrained(config, tmp_path / "model", (f"source.root={tmp_path}",), state)
    summary = score_all(tmp_path / "studies", model, tmp_path / "out", engine=local_engine(1, 1, 120.0))
    table = pd.read_parquet(tmp_path / "out" / "scores.parquet").groupby("study", as_index=False).first()
    assert summary.studies == len(table) == 250
    assert len(said["damage"]) == 40
    assert not table["error"].str.contains("not foreseen").any()
    damaged = {
        path.parent.name: path.read_text(encoding="utf-8").strip()
        for path in (tmp_path / "studies").glob("*/damage.txt")
    }
    expected = table["study"].map(damaged).map(said["damage"])
    wrong = table[(expected == "refused") & (table["status"] != "refused")]
    assert not set(wrong["study"].map(damaged)) - NOT_READ
    patterns = set(table.loc[table["status"] == "ok", "pattern"])
    assert patterns == (
        {"magnitude", "phase", "magnitude+phase"} if kind == "knee" else {"series", "static", "series+static"}
    )


def test_real_and_phantom_kspace_are_scored(shared_data: Path, tmp_path: Path) -> None:
    """A real 16-coil brain, and single slices of ISMRMRD phantoms: whatever the answers, they are answers."""
    studies = tmp_path / "studies"
    found = [*(shared_data / "kspace_real").glob("*.npy"), *(shared_data / "kspace_phantom").rglob("*.h5")]
    for path in found:
        (studies / path.stem).mkdir(parents=True)
        shutil.copy(path, studies / path.stem / path.name)
    overrides = (f"source.root={tmp_path}", "source.coils=any")
    model = untrained("knee_demo", tmp_path / "model", overrides)
    score_all(studies, model, tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    status = table.groupby("study")["status"].first()
    assert status["pulseq_brain_16ch"] == "ok"
    assert (status == "ok").sum() >= 2
    assert not table["error"].str.contains("not foreseen").any()
    assert np.isfinite(table.loc[table["status"] == "ok", "p"]).all()
