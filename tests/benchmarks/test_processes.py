"""`train --processes`: an epoch by one, two and three processes on whatever cores there are, by the clock and in CPU time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.figures import Figures

N_PROCESSES = (1, 2, 3)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("parallel", ["data", "experts"])
def test_an_epoch_by_several_processes(parallel: str, figures: Figures, tmp_path: Path) -> None:
    """Of `knee_demo`'s three networks, a batch of 16 shared by all; every process on one thread."""
    repeats = range(1 if figures.once else 2)
    found = {n: [trained(n, parallel, tmp_path / f"{n}{repeat}") for repeat in repeats] for n in N_PROCESSES}
    for n in N_PROCESSES[1:]:
        for clock, unit in (("wall", "s"), ("cpu", "CPU s")):
            ours, alone = ([each[clock] for each in found[count]] for count in (n, 1))
            what = f"`parallel: {parallel}`: an epoch by {n} processes"
            figures.add(f"{parallel}_{n}_{clock}", what, ours, "by one", alone, unit)


def trained(n_processes: int, parallel: str, folder: Path) -> dict[str, float]:
    """Seconds of an epoch: by the clock of the first process, and CPU of all."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_processes)]
    start = [*launcher, "-m"] if n_processes > 1 else ["-m"]
    call = [sys.executable, "-W", "ignore", *start, "tests.benchmarks.test_processes", str(folder), parallel]
    subprocess.run(call, check=True, capture_output=True)
    each = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    assert len(each) == n_processes
    return {"wall": max(one["wall"] for one in each), "cpu": sum(one["cpu"] for one in each)}


def main(folder: Path, parallel: str) -> None:
    """One of the processes."""
    import torch

    from i2m2_med.engine.training.processes import joined
    from tests.benchmarks.test_training import epoch, model

    torch.set_num_threads(1)
    with joined("cpu"):
        cpu, wall = epoch(model(), folder / "fit", 3, parallel=parallel)
    (folder / f"{os.environ.get('RANK', '0')}.json").write_text(
        json.dumps({"cpu": cpu, "wall": wall}), encoding="utf-8"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
