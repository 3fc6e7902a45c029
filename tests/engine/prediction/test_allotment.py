"""A model folder's config builds no more than its weights fill, whatever makes the numbers."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from i2m2_med.engine.prediction.allotment import SPARE, Allotment


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(bytes(1000))
    return path


def test_layers_are_counted_before_they_are_made(weights: Path) -> None:
    with Allotment(weights):
        torch.nn.Linear(100, 50)
    with pytest.raises(RuntimeError, match="a larger network than the weights are of"), Allotment(weights):
        torch.nn.Linear(SPARE, 100)


TABLES = """
import resource, sys
from pathlib import Path
import numpy as np, torch
from i2m2_med.engine.prediction.allotment import Allotment
for make in (lambda: np.ones(1 << 30), lambda: torch.eye(40_000), lambda: torch.arange(1 << 30)):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        with Allotment(Path(sys.argv[1])):
            make()
        print("made")
    except (MemoryError, RuntimeError):
        print("refused")
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
print(np.ones(1 << 20).nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_tables_that_are_no_layers_weights_stop_at_a_limit_of_memory(weights: Path) -> None:
    done = subprocess.run([sys.executable, "-c", TABLES, str(weights)], capture_output=True, text=True)
    assert done.stdout.split() == ["refused", "refused", "refused", str(8 << 20)], done.stderr
