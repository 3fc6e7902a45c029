"""2,000 mutated study folders: no crash, no hang, nothing written outside OUT, every study accounted for."""

import json
import shutil
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from i2m2_med.console import Progress
from i2m2_med.parts import Part
from i2m2_med.scoring.run import score
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.workers.engine import local_engine
from i2m2_med.simulate.studies import simulate

from .conftest import job_of, untrained
from .mutate import NAMES, mutate

FOLDERS, ROUNDS = 100, 10
SLOWEST = 240.0
"""Seconds for one round; an undisturbed one takes about five."""

unforeseen: Counter[str] = Counter()


@pytest.fixture(scope="module")
def stays_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small MIMIC-III I2M2."""
    root = tmp_path_factory.mktemp("stays_model")
    statistics = {"series": 12, "static": 5}
    state = {name: {"mean": [0.0] * count, "std": [50.0] * count} for name, count in statistics.items()}
    return untrained("mimic3_demo", root / "model", (f"source.root={root}",), state)


def everything(root: Path) -> dict[str, int]:
    """What lies below a folder, with sizes."""
    return {str(path): path.lstat().st_size for path in sorted(root.rglob("*"))}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", ["knee", "mimic3"])
def test_two_thousand_mutated_studies(
    kind: str, knee_model: Path, stays_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    simulate(tmp_path / "bases", kind=kind, count=14, seed=2, matrix="48x40", slices=1)  # type: ignore[arg-type]
    bases = sorted((tmp_path / "bases").iterdir())
    model = {"knee": knee_model, "mimic3": stays_model}[kind]
    unforeseen.clear()

    @settings(
        max_examples=ROUNDS,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.integers(0, 2**32 - 1), min_size=FOLDERS, max_size=FOLDERS, unique=True))
    def throw(seeds: list[int]) -> None:
        studies, out = tmp_path / "studies", tmp_path / "out"
        for folder in (studies, out):
            shutil.rmtree(folder, ignore_errors=True)
        studies.mkdir()
        for number, seed in enumerate(seeds):
            odd = f"{number} {NAMES[number % len(NAMES)]}" if number % 7 == 0 else f"study{number}"
            mutate(bases[seed % len(bases)], studies / odd, seed)
        before, began = everything(tmp_path), time.monotonic()
        engine = local_engine(1, 1, 20.0)
        summary = score(job_of(model, out), find_studies(str(studies), out), engine, Part(), Progress())
        assert time.monotonic() - began < SLOWEST
        assert summary.studies == summary.ok + summary.refused == FOLDERS
        table = pd.read_parquet(out / "scores.parquet")
        assert table["study"].nunique() == FOLDERS
        assert table.loc[table["status"] == "ok", "p"].between(0, 1).all()
        outside = {path: size for path, size in everything(tmp_path).items() if not path.startswith(str(out))}
        assert outside == before
        for path in out.glob("studies/*.json"):
            result = json.loads(path.read_text(encoding="utf-8"))
            if "not foreseen" in result["error"]:
                unforeseen[result["error"]] += 1

    throw()
    assert not unforeseen
    assert "Traceback" not in capfd.readouterr().err
