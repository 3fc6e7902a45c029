"""Nobody else reads what may hold patients' data, whatever the umask: a real prepare, training and scoring."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from i2m2_med.simulate.mimic3 import write as mimic3
from i2m2_med.simulate.studies import simulate as simulate_studies

pytestmark = pytest.mark.slow
SETTINGS = ("training.epochs=2", "evaluation.bootstrap=10")


def i2m2(work: Path, umask: int, *arguments: str) -> None:
    """Run a verb as a user with that umask does."""
    environment = os.environ | {"I2M2_WORK": str(work), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "i2m2_med", *arguments]
    done = subprocess.run(command, env=environment, umask=umask, capture_output=True, text=True)
    assert done.returncode in (0, 2), done.stderr[-2000:]


def open_to_others(root: Path) -> list[str]:
    """What other users could read or enter, by path and mode; but for MLflow's copy of a file of this package."""
    return [
        f"{path} {stat.filemode(path.lstat().st_mode)}"
        for path in (root, *root.rglob("*"))
        if not path.is_symlink() and path.lstat().st_mode & 0o077 and path.name != "pyfunc_model.py"
    ]


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_all_that_is_written_is_private(umask: int, tmp_path: Path) -> None:
    mimic3.simulate(tmp_path / "tables", patients=150, seed=5)
    settings = [word for setting in (f"source.root={tmp_path / 'tables'}", *SETTINGS) for word in ("-s", setting)]
    work, out = tmp_path / "work", tmp_path / "out"
    i2m2(work, umask, "prepare", "mimic3_demo", *settings)
    assert list(work.glob("prepared/*/manifest.json"))
    assert not open_to_others(work)
    i2m2(work, umask, "train", "mimic3_demo", *settings)
    model = next((work / "runs").glob("train-*/i2m2-0/model"))
    simulate_studies(tmp_path / "studies", kind="mimic3", count=6, seed=1)
    i2m2(work, umask, "score", str(tmp_path / "studies"), str(out), "--model", str(model), "--readers", "1")
    assert (out / "scores.parquet").exists()
    assert list((work / "artifacts").rglob("*"))
    assert not open_to_others(work)
    assert not open_to_others(out)
