"""Memory that really runs out, in a process of its own: one line, and the last whole epoch is there to go on with."""

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from . import sharded

SCRIPT = """
import sys
from pathlib import Path
import torch
from i2m2_med.errors import UserError
from i2m2_med.memory_limit import limit_memory
import tests.engine.training.sharded as sharded
from i2m2_med.engine.training import fit as fitting

forward = sharded.Images.forward

def hungry(self, *pictures):
    torch.empty(2**28, dtype=torch.uint8)
    return forward(self, *pictures)

def watch(epoch, metrics):
    if epoch == 2 and sys.argv[2] == "limited":
        limit_memory(2**26)

sharded.Images.forward = hungry

fit = fitting.fit
sharded.fit = lambda *args, **settings: fit(*args, **{**settings, "watch": watch})
try:
    sharded.trained(Path(sys.argv[1]), epochs=4, batch=157)
except UserError as error:
    print(error)
    sys.exit(1)
"""


def train(folder: Path, how: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder), how]
    return subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[3])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")
def test_what_helps_is_named_and_what_was_trained_is_gone_on_with(tmp_path: Path) -> None:
    limited = train(tmp_path / "stage", "limited")
    assert limited.returncode == 1, limited.stderr
    assert limited.stdout.count("\n") == 1
    assert "training.accumulate=2 or -s training.memory=one_expert" in limited.stdout
    again = train(tmp_path / "stage", "free")
    assert again.returncode == 0, again.stderr
    _, losses, _ = sharded.trained(tmp_path / "whole", epochs=4, batch=157)
    assert len(losses) == 4
    made = load_file(tmp_path / "stage" / "best.safetensors")
    whole = load_file(tmp_path / "whole" / "best.safetensors")
    assert all(bool((made[name] == tensor).all()) for name, tensor in whole.items())
