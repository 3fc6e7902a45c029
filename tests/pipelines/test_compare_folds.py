"""Folds and trials that several processes train end with the bytes of one process, also after the machine lost its power."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.engine.training.test_cross_validation import write_arrays

pytestmark = pytest.mark.slow
CONFIG = {
    "extends": str(Path(__file__).parents[2] / "configs" / "parts" / "avmnist.yaml"),
    "task": "folds of blurred squares",
    "modalities": {"normalise": {"image": "standard"}},
    "training": {"epochs": 2},
    "evaluation": {"bootstrap": 20, "primary": None},
    "seeds": [0],
    "paradigms": {"one": {"experts": ["image"]}, "two": {"experts": ["image"], "training": {"learning_rate": 0.01}}},
    "paradigm": "one",
    "tune": {"trials": 4, "startup": 2, "space": {"training.learning_rate": {"log_uniform": [1e-3, 0.1]}}},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    write_arrays(folder / "arrays")
    content = CONFIG | {
        "source": {"root": str(folder / "arrays")},
        "split": {"folds": 3, "file": str(folder / "arrays" / "folds.csv")},
    }
    (folder / "toy.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "toy.yaml"


def command(verb: str, config: Path, *words: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "i2m2_med", *verb.split(), str(config), *words]


def environment(work: Path) -> dict[str, str]:
    return os.environ | {"I2M2_WORK": str(work), "OMP_NUM_THREADS": "1"}


def call(verb: str, config: Path, work: Path, *words: str) -> str:
    """What one call says on standard error."""
    done = subprocess.run(command(verb, config, *words), env=environment(work), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def report(out: Path) -> dict[str, bytes]:
    """The tables of a report, by name; what it cost in seconds aside."""
    found = {path.name: path.read_bytes() for path in out.glob("*.csv") if path.name != "cost.csv"}
    assert {"comparison.csv", "paired.csv"} <= found.keys()
    return found


@pytest.fixture(scope="module")
def alone(config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The report of one process."""
    root = tmp_path_factory.mktemp("alone")
    call("compare", config, root / "work", "--out", str(root / "out"))
    return report(root / "out")


def test_a_power_cut_leaves_no_process_and_resume_ends_with_the_same_tables(
    config: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    running = subprocess.Popen(
        command("compare", config, "--jobs", "2"), env=environment(work), stderr=subprocess.DEVNULL
    )
    while not list(work.glob("runs/compare-*/fold-*/stages/*/last.pt")) and running.poll() is None:
        time.sleep(0.02)
    family = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGKILL)
    running.wait()
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left
    said = call("compare", config, work, "--resume", "--jobs", "2", "--out", str(tmp_path / "out"))
    assert "done before" in said
    assert report(tmp_path / "out") == alone
    runs = subprocess.run(
        [sys.executable, "-m", "i2m2_med", "runs", "--json"],
        env=environment(work),
        capture_output=True,
        text=True,
        check=True,
    )
    assert {run["status"] for run in yaml.safe_load(runs.stdout)["runs"]} == {"FINISHED"}


def test_parts_train_folds_and_merge_pools_them(config: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    work = tmp_path / "work"
    for part in ("1", "0"):
        call("compare", config, work, "--num-parts", "2", "--part-id", part)
    call("compare merge", config, work, "--out", str(tmp_path / "out"))
    assert report(tmp_path / "out") == alone


def test_trials_side_by_side_find_what_trials_in_turn_find(config: Path, tmp_path: Path) -> None:
    one_fold = ("-s", "split.fold=0")
    call("tune", config, tmp_path / "one", *one_fold, "--out", str(tmp_path / "one.yaml"))
    call("tune", config, tmp_path / "two", *one_fold, "--jobs", "2", "--out", str(tmp_path / "two.yaml"))
    found = [(tmp_path / name).read_text(encoding="utf-8").splitlines()[1:] for name in ("one.yaml", "two.yaml")]
    assert found[0] == found[1]
    noted = [
        {
            note.parent.name: yaml.safe_load(note.read_text(encoding="utf-8"))
            for note in (tmp_path / name).glob("runs/tune-*/*-trial-*/note.json")
        }
        for name in ("one", "two")
    ]
    assert len(noted[0]) == 8
    for name, note in noted[0].items():
        assert {key: note[key] for key in ("settings", "value")} == {
            key: noted[1][name][key] for key in ("settings", "value")
        }
    first = next((tmp_path / "two").glob("runs/tune-*/one-trial-1"))
    shutil.rmtree(first)  # as if it had been cut off: it and no other is trained again
    said = call(
        "tune", config, tmp_path / "two", *one_fold, "--resume", "--jobs", "2", "--out", str(tmp_path / "again.yaml")
    )
    assert (tmp_path / "again.yaml").read_text(encoding="utf-8").splitlines()[1:] == found[0]
    assert (first / "note.json").exists()
    assert said.count("can't be trained") == 0
