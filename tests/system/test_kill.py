"""`kill -9` at any moment, `--resume`, and the weights are those of an undisturbed run, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from i2m2_med.simulate.mimic3 import write as mimic3

pytestmark = pytest.mark.slow
SETTINGS = ("training.epochs=40", "training.modality_dropout=0.2", "evaluation.bootstrap=10", "training.patience=40")


def command(tables: Path, *more: str) -> list[str]:
    settings = [word for setting in (f"source.root={tables}", *SETTINGS) for word in ("-s", setting)]
    return [sys.executable, "-m", "i2m2_med", "train", "mimic3_demo", *settings, *more]


def environment(work: Path) -> dict[str, str]:
    return os.environ | {"I2M2_WORK": str(work), "OMP_NUM_THREADS": "1"}


def weights(work: Path) -> bytes:
    return next((work / "runs").glob("train-*/i2m2-0/model/weights.safetensors")).read_bytes()


def wait_for(work: Path, pattern: str, seconds: float, process: subprocess.Popen[bytes]) -> None:
    """Until a file that matches is there, then `seconds` more; sooner if the process ends."""
    while not list(work.glob(pattern)) and process.poll() is None:
        time.sleep(0.02)
    time.sleep(seconds)


@pytest.mark.parametrize(
    ("pattern", "seconds"),
    [
        ("prepared/*.preparing", 0.2),
        ("runs/*/stages/*/last.pt", 0.0),
        ("runs/*/stages/*/last.pt", 0.7),
        ("runs/*/*/model/model.json", 0.0),
    ],
    ids=["preparing", "first epoch", "training", "recording"],
)
def test_a_killed_run_ends_with_the_same_bits(tmp_path, undisturbed, pattern, seconds):
    tables, expected = undisturbed
    work = tmp_path / "killed"
    process = subprocess.Popen(
        command(tables), env=environment(work), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    wait_for(work, pattern, seconds, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command(tables, "--resume"), env=environment(work), check=True, capture_output=True)
    assert weights(work) == expected


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Simulated tables, and the weights of a run that nobody disturbed."""
    place = tmp_path_factory.mktemp("kill")
    mimic3.simulate(place / "tables", patients=150, seed=5)
    subprocess.run(command(place / "tables"), env=environment(place / "work"), check=True, capture_output=True)
    return place / "tables", weights(place / "work")
