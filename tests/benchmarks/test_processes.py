"""`train --processes`: an epoch by one, two and three processes on whatever cores there are, by the clock and in CPU time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.figures import Figures

N_PROCESSES = (2, 3)
LARGE = 192
"""Pixels of a side: a step of 0.3 s, beside which what travels is little, as of any network that is worth several processes."""
Costs = dict[str, list[float]]
"""By clock (`wall`, `cpu`), seconds of each epoch."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Costs:
    """By one process."""
    return trained(1, "data", tmp_path_factory.mktemp("alone"))


@pytest.mark.timeout(900)
def test_an_epoch_by_several_processes(figures: Figures, alone: Costs, tmp_path: Path) -> None:
    """Of `knee_demo`'s three networks, a batch of 16 shared by all; every process on one thread."""
    for n in N_PROCESSES:
        found = trained(n, "data", tmp_path / str(n))
        for clock, unit in (("wall", "s"), ("cpu", "CPU s")):
            what = f"`parallel: data`: an epoch by {n} processes"
            figures.add(f"data_{n}_{clock}", what, found[clock], "by one", alone[clock], unit)


@pytest.mark.timeout(900)
def test_experts_side_by_side_beside_the_slowest(figures: Figures, tmp_path: Path) -> None:
    """Two experts that cost alike, each in a process and on a core of its own, beside one of them trained by itself."""
    large = {"n_epochs": 3, "steps": 18, "side": LARGE}
    together = trained(2, "experts", tmp_path / "two", 2, **large)["wall"]
    slowest = trained(1, "experts", tmp_path / "one", 1, **large)["wall"]
    what = f"`parallel: experts`: an epoch of {large['steps']} steps of two experts in two processes"
    figures.add("experts_slowest", what, together, "of the slowest expert alone", slowest, "s", 1.15)


def trained(n_processes: int, parallel: str, folder: Path, n_experts: int = 3, **how: int) -> Costs:
    """Seconds of each epoch but the first: by the clock of the slowest process, and CPU of all. how: of `epochs`."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_processes)]
    start = [*launcher, "-m"] if n_processes > 1 else ["-m"]
    call = [sys.executable, "-W", "ignore", *start, "tests.benchmarks.test_processes", str(folder), parallel]
    call += [str(n_experts), json.dumps({"n_epochs": 4} | how)]
    subprocess.run(call, check=True, capture_output=True)
    each = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    assert len(each) == n_processes
    of_all = {clock: np.array([one[clock] for one in each]) for clock in ("cpu", "wall")}
    return {"cpu": of_all["cpu"].sum(axis=0).tolist(), "wall": of_all["wall"].max(axis=0).tolist()}


def main(folder: Path, parallel: str, n_experts: int, how: dict[str, int]) -> None:
    """One of the processes."""
    import torch

    from i2m2_med.engine.training.processes import joined
    from tests.benchmarks.test_training import epochs, model

    torch.set_num_threads(1)
    with joined("cpu"):
        cpu, wall = epochs(model(n_experts), folder / "fit", parallel=parallel, **how).T.tolist()
    (folder / f"{os.environ.get('RANK', '0')}.json").write_text(
        json.dumps({"cpu": cpu, "wall": wall}), encoding="utf-8"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]))
