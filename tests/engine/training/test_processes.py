"""Three processes that share every batch learn what one process learns, step by step."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from i2m2_med.config.training import Training
from i2m2_med.engine.training.expert_parallel import check_experts_parallel
from i2m2_med.errors import ConfigError

from . import sharded

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("sharded.py")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What three processes trained."""
    folder = tmp_path_factory.mktemp("three")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "3",
        str(SCRIPT),
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", sorted(sharded.SETTINGS))
def test_three_processes_learn_what_one_learns(name: str, three: Path, tmp_path: Path) -> None:
    made, losses, history = sharded.trained(tmp_path, **sharded.SETTINGS[name])
    theirs = json.loads((three / f"{name}.json").read_text(encoding="utf-8"))
    assert len(losses) >= sharded.STEPS
    assert theirs["losses"] == pytest.approx(losses, abs=1e-5)
    for here, there in zip(history, theirs["history"], strict=True):
        assert there == pytest.approx(here, abs=1e-5)
    for key, tensor in made.state_dict().items():
        assert theirs["weights"][key] == pytest.approx(tensor.double().flatten().tolist(), abs=1e-4), key


def test_experts_that_cannot_be_shared_are_refused() -> None:
    network = sharded.model()
    for n_processes, device, settings, words in (
        (5, "cpu", {}, "4 experts leave some of 5 processes"),
        (2, "cpu", {"mode": "ogm-ge"}, "take parallel: data"),
        (2, "cuda:0", {}, "take precision: bf16"),
    ):
        with pytest.raises(ConfigError, match=words):
            check_experts_parallel(network, Training(parallel="experts", **settings), device, n_processes)
