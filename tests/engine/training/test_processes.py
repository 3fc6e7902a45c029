"""Three processes that share every batch learn what one process learns, step by step."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from i2m2_med.config.training import Training
from i2m2_med.engine.training.expert_parallel import check_experts_parallel
from i2m2_med.errors import ConfigError

from . import sharded

pytestmark = pytest.mark.slow

SLURM = {"SLURM_JOB_ID": "17", "SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_JOB_NUM_NODES": "2"}
"""What stands in the environment where `srun` starts one torchrun on each of two nodes; torchrun knows better who is who."""
SCRIPT = Path(__file__).with_name("sharded.py")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What three processes trained."""
    return train_in(3, tmp_path_factory.mktemp("three"))


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a mesh of two by two processes trained."""
    return train_in(4, tmp_path_factory.mktemp("four"), *sharded.MESH)


def train_in(n_processes: int, folder: Path, *names: str) -> Path:
    """Train in several processes what is named; return where they leave what came out."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(n_processes),
        str(SCRIPT),
        str(folder),
        *names,
    ]
    done = subprocess.run(command, env=os.environ | SLURM, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", sorted(sharded.SETTINGS))
def test_three_processes_learn_what_one_learns(name: str, three: Path, tmp_path: Path) -> None:
    expect_the_same(name, sharded.SETTINGS[name], three, tmp_path)


@pytest.mark.parametrize("name", sorted(sharded.MESH))
def test_a_mesh_of_experts_and_data_learns_what_one_process_learns(name: str, four: Path, tmp_path: Path) -> None:
    expect_the_same(name, sharded.MESH[name], four, tmp_path)


def expect_the_same(name: str, settings: dict[str, Any], folder: Path, place: Path) -> None:
    """Every step's loss, every epoch's metrics and the weights are those of one process."""
    made, losses, history = sharded.trained(place, **settings)
    theirs = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    assert len(losses) >= sharded.STEPS
    assert theirs["losses"] == pytest.approx(losses, abs=1e-5)
    for here, there in zip(history, theirs["history"], strict=True):
        assert there == pytest.approx(here, abs=1e-5)
    for key, tensor in made.state_dict().items():
        assert theirs["weights"][key] == pytest.approx(tensor.double().flatten().tolist(), abs=1e-4), key


def test_experts_that_cannot_be_shared_are_refused() -> None:
    network = sharded.model()
    for n_processes, device, settings, words in (
        (5, "cpu", {}, "5 processes can't share 4 experts evenly"),
        (2, "cpu", {"mode": "ogm-ge"}, "take parallel: data"),
        (2, "cuda:0", {}, "take precision: bf16"),
    ):
        with pytest.raises(ConfigError, match=words):
            check_experts_parallel(network, Training(parallel="experts", **settings), device, n_processes)
