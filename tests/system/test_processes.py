"""Three processes train together: one is killed, the others end, and `--resume` ends with the same bytes; mistakes are one line."""

import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest

from i2m2_med.signals import EXIT
from i2m2_med.simulate.mimic3 import write as mimic3
from tests.engine.training.test_cross_validation import write_arrays

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


def run(command: list[str], work: Path, more: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    env = environment(work) | (more or {})
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=280)


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


@pytest.mark.parametrize("what", ["settings", "data"])
def test_processes_with_other_settings_or_data_are_refused(what: str, tables: Path, tmp_path: Path) -> None:
    setting = "training.epochs=2"
    if what == "data":
        mimic3.simulate(tmp_path / "other", patients=60, seed=1)
        setting = f"source.root={tmp_path / 'other'}"
    script = tmp_path / "uneven.py"
    script.write_text(
        "import os, sys\nfrom i2m2_med.cli import main\n"
        f"other = ['-s', {setting!r}] if os.environ['RANK'] == '1' else []\n"
        f"sys.exit(main({arguments(tables)[2:]!r} + other))\n",
        encoding="utf-8",
    )
    done = run([*TORCHRUN, "2", str(script)], tmp_path / "work")
    assert done.returncode == 1
    assert "config or data of process 1 differs from that of process 0" in done.stderr
    assert lines_of_mistakes(done.stderr) == 2


def lines_of_mistakes(said: str) -> int:
    """How many processes said a line; torchrun's own report of them follows."""
    ours = said.partition("torch.distributed.elastic.multiprocessing.errors.ChildFailedError")[0]
    return sum(line.startswith(("UserError: ", "ConfigError: ")) for line in ours.splitlines())


def test_processes_that_are_to_have_a_gpu_each_say_that_there_is_none(tables: Path, tmp_path: Path) -> None:
    no_gpu = {"CUDA_VISIBLE_DEVICES": ""}
    done = run([*TORCHRUN, "2", *arguments(tables, "-s", "training.device=cuda")], tmp_path / "work", no_gpu)
    assert done.returncode == 1
    assert "training.device: cuda asks for GPU 0 of this machine, which has 0" in done.stderr


def test_a_port_in_use_is_said(tables: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(taken.getsockname()[1])}
        alone = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", **place}
        done = run([sys.executable, *arguments(tables, "-s", "training.device=cpu")], tmp_path / "work", alone)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("UserError: the 2 processes did not find each other")
    assert "is MASTER_PORT in use" in line


def test_fewer_processes_than_the_world_is_said_to_have_are_missed(tables: Path, tmp_path: Path) -> None:
    script = tmp_path / "impatient.py"
    script.write_text(
        "import sys\nfrom datetime import timedelta\nfrom i2m2_med.cli import main\n"
        "from i2m2_med.engine.training import processes\nprocesses.JOINING = timedelta(seconds=3)\n"
        f"sys.exit(main({arguments(tables, '-s', 'training.device=cpu')[2:]!r}))\n",
        encoding="utf-8",
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    alone = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    done = run([sys.executable, str(script)], tmp_path / "work", alone)
    assert done.returncode == 1
    assert "were fewer processes started than WORLD_SIZE says?" in done.stderr.splitlines()[-1]


def test_folds_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    write_arrays(tmp_path / "arrays")
    settings = (
        f"source.root={tmp_path / 'arrays'}",
        f"split={{folds: 3, file: {tmp_path / 'arrays' / 'folds.csv'}}}",
        "modalities.normalise={image: standard}",
        "training.epochs=2",
        "evaluation.bootstrap=20",
        "seeds=[0]",
        "training.device=cpu",
    )
    words = ["-m", "i2m2_med", "train", "avmnist_image", *(word for one in settings for word in ("-s", one))]
    tables: list[pd.DataFrame] = []
    for name, more in (("one", ()), ("two", ("--processes", "2"))):
        done = run([sys.executable, *words, *more], tmp_path / name)
        assert done.returncode == 0, done.stderr[-2000:]
        table = pd.read_parquet(next((tmp_path / name).glob("runs/train-*/unimodal_image-0/predictions.parquet")))
        tables.append(table.drop(columns=["model", "seconds", "study", "patient"]))  # each workspace has its own names
    pd.testing.assert_frame_equal(tables[1], tables[0], rtol=1e-4, atol=1e-5)


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
