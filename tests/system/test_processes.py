"""Three processes train together: one is killed, the others end, and `--resume` ends with the same bytes; mistakes are one line."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from i2m2_med.signals import EXIT
from i2m2_med.simulate.mimic3 import write as mimic3

from .test_kill import environment, wait_for, weights

pytestmark = pytest.mark.slow
SETTINGS = ("training.epochs=6", "training.modality_dropout=0.2", "evaluation.bootstrap=10", "training.batch=96")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    mimic3.simulate(folder, patients=200, seed=0)
    return folder


def arguments(tables: Path, *more: str) -> list[str]:
    settings = [word for setting in (f"source.root={tables}", *SETTINGS) for word in ("-s", setting)]
    return ["-m", "i2m2_med", "train", "mimic3_demo", *settings, *more]


def run(command: list[str], work: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment(work), capture_output=True, text=True, timeout=280)


def test_a_killed_process_ends_the_others_and_resume_gives_the_same_bytes(tables: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    three = [sys.executable, *arguments(tables, "--processes", "3")]
    done = run(three, whole)
    assert done.returncode == 0, done.stderr[-2000:]
    process = subprocess.Popen(three, env=environment(killed), stderr=subprocess.PIPE, text=True)
    wait_for(killed, "runs/*/stages/*/last.pt", 0.1, process)  # type: ignore[arg-type]
    ranks = [one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())]
    assert len(ranks) == 3
    ranks[1].kill()
    error = process.communicate(timeout=100)[1]
    assert process.returncode == EXIT, error
    assert "Traceback" not in error
    assert error.splitlines()[-1].endswith("go on with --resume")
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in ranks)
    fewer = run([sys.executable, *arguments(tables, "--processes", "2", "--resume")], killed)
    assert fewer.returncode == 1
    assert "was begun by 3 processes" in fewer.stderr.splitlines()[-1]
    resumed = run([*TORCHRUN, "3", *arguments(tables, "-s", "training.device=cpu", "--resume")], killed)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert weights(killed) == weights(whole)


def test_processes_with_other_settings_are_refused(tables: Path, tmp_path: Path) -> None:
    script = tmp_path / "uneven.py"
    script.write_text(
        "import os, sys\nfrom i2m2_med.cli import main\n"
        f"sys.exit(main({arguments(tables)[2:]!r} + ['-s', 'training.epochs=' + str(2 + int(os.environ['RANK']))]))\n",
        encoding="utf-8",
    )
    done = run([*TORCHRUN, "2", str(script)], tmp_path / "work")
    assert done.returncode == 1
    assert "config or data of process 1 differs from that of process 0" in done.stderr


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--gpus", "64"), "--gpus 64: this machine has"),
        (("--processes", "0"), "0 processes can't train"),
        (("--gpus", "1", "--processes", "1"), "keep one"),
    ],
)
def test_what_cannot_be_had_is_said(tables: Path, tmp_path: Path, more: tuple[str, ...], line: str) -> None:
    done = run([sys.executable, *arguments(tables, *more)], tmp_path)
    assert done.returncode == 1
    assert line in done.stderr.splitlines()[-1]
