"""A comparison by several processes, by parts, or on Ray is the comparison of one process; what dies is named and taken up."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow
SETTINGS = ("training.epochs=1", "evaluation.bootstrap=20", "tracking.experiment=small")
TABLES = ("comparison.csv", "paired.csv")


def command(tables: Path, *words: str) -> list[str]:
    head, tail = (words[:1], words[1:]) if words[:1] == ("merge",) else ((), words)
    sets = [word for one in (*SETTINGS, f"source.root={tables}") for word in ("-s", one)]
    return [sys.executable, "-W", "ignore", "-m", "i2m2_med", "compare", *head, "mimic3_demo", *sets, *tail]


def call(tables: Path, work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One call of the verb in a process of its own, with one thread."""
    env = os.environ | {"I2M2_WORK": str(work), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command(tables, *words), env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def alone(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of one process."""
    root = tmp_path_factory.mktemp("alone")
    done = call(tables, root / "work", "--out", str(root / "out"))
    assert done.returncode == 0, done.stderr
    return root / "out"


def expect_same(alone: Path, out: Path) -> None:
    names = sorted(path.name for path in alone.glob("*.csv") if path.name != "cost.csv")
    assert {*TABLES} <= {*names}
    assert [(out / name).read_bytes() == (alone / name).read_bytes() for name in names] == [True] * len(names)


def test_two_processes_end_with_the_same_tables(tables: Path, alone: Path, tmp_path: Path):
    done = call(tables, tmp_path / "work", "--jobs", "2", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    expect_same(alone, tmp_path / "out")


def test_parts_are_merged_once_all_are_there(tables: Path, alone: Path, tmp_path: Path):
    work, out = tmp_path / "work", str(tmp_path / "out")
    first = call(tables, work, "--num-parts", "2", "--part-id", "1")
    assert first.returncode == 0, first.stderr
    early = call(tables, work, "merge", "--out", out)
    assert early.returncode == 1
    assert "trainings are not done yet" in early.stderr
    assert early.stderr.count("\n") <= 3
    assert call(tables, work, "--num-parts", "2", "--part-id", "0").returncode == 0
    whole = call(tables, work, "merge", "--out", out)
    assert whole.returncode == 0, whole.stderr
    expect_same(alone, tmp_path / "out")


def test_ray_ends_with_the_same_tables(tables: Path, alone: Path, tmp_path: Path):
    pytest.importorskip("ray")
    done = call(tables, tmp_path / "work", "--engine", "ray", "--jobs", "2", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    expect_same(alone, tmp_path / "out")


def test_a_process_that_is_killed_is_named_and_taken_up(tables: Path, alone: Path, tmp_path: Path):
    work = tmp_path / "work"
    env = os.environ | {"I2M2_WORK": str(work), "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(command(tables, "--jobs", "2"), env=env, stderr=subprocess.PIPE, text=True)
    killed = threading.Thread(target=kill_one, args=(running.pid, work))
    killed.start()
    _, told = running.communicate()
    killed.join()
    assert running.returncode == 1, told
    assert "killed" in told
    assert "--resume trains what is missing" in told
    done = call(tables, work, "--resume", "--jobs", "2", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    expect_same(alone, tmp_path / "out")


def kill_one(process: int, work: Path) -> None:
    """Kill the first process that has opened a run of its own."""
    while not list(work.glob("runs/compare-*/*-0/note.json")):
        time.sleep(0.05)
    trainers = [
        child
        for child in psutil.Process(process).children(recursive=True)
        if len(child.children()) == 0 and child.num_threads() > 3
    ]
    trainers[0].send_signal(signal.SIGKILL)


DIVERGES = (
    "paradigms={static: {experts: [static]}, wild: {experts: [series], training: {learning_rate: 1.0e+30}}, "
    "i2m2: {experts: [static, series, joint]}}"
)


@pytest.mark.parametrize("words", [(), ("--jobs", "2")], ids=["one process", "two"])
def test_a_training_that_fails_stops_no_other(words: tuple[str, ...], tables: Path, tmp_path: Path):
    done = call(tables, tmp_path, *words, "-s", DIVERGES, "-s", "evaluation.primary=null")
    assert done.returncode == 1
    assert done.stderr.count("wild, seed 0: training diverged") == 1
    assert "--resume trains what is missing" in done.stderr
    notes = {
        path.parent.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("runs/compare-*/*-0/note.json")
    }
    assert {name: json.loads(note)["done"] for name, note in notes.items()} == {
        "static-0": True,
        "wild-0": False,
        "i2m2-0": True,
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--jobs", "0"), "--jobs"),
        (("--num-parts", "2", "--part-id", "2"), "numbered 0 to 1"),
        (("--num-parts", "0"), "--part-id"),
        (("--jobs", "two"), "jobs"),
    ],
)
def test_numbers_that_can_not_be_are_one_line(words: tuple[str, ...], told: str, tables: Path, tmp_path: Path):
    done = call(tables, tmp_path / "work", *words)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
