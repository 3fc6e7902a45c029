"""Many small simulated studies scored by `i2m2 score --engine ray` on three nodes, as processes of this machine.

`python -m tests.scoring.workers.many_studies FOLDER N [N …] [--kill]` prints what each number of studies costs, one JSON object a line.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.scoring.conftest import untrained

ONE_PICTURE = """
task: digits
source: {name: avmnist, root: .}
experts:
  image: {reads: [image], network: {_target_: i2m2_med.experts.LeNet, size: 28}}
"""
NODES = 3
KILLED_AT = 0.4
"""The share of results that are there when an actor is killed."""


def write_studies(folder: Path, count: int) -> Path:
    """`count` studies of one picture each; a larger number begins with the same ones."""
    numbers = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for index in range(count):
        study, content = folder / f"s{index:06d}", io.BytesIO()
        np.save(content, numbers.random((1, 28, 28), dtype=np.float32))
        study.mkdir()
        (study / "image.npy").write_bytes(content.getvalue())
    return folder


def write_model(folder: Path) -> Path:
    """One small expert of pictures."""
    folder.mkdir(parents=True)
    (folder / "digits.yaml").write_text(ONE_PICTURE, encoding="utf-8")
    return untrained(str(folder / "digits.yaml"), folder / "model", (f"source.root={folder}",))


@contextmanager
def three_nodes() -> Generator[str]:
    """The address of a cluster of three nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    memory = 200 * 2**20
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": memory})
    try:
        for _ in range(NODES - 1):
            nodes.add_node(num_cpus=1, object_store_memory=memory)
        yield str(nodes.address)
    finally:
        nodes.shutdown()


def n_entries(folder: Path) -> int:
    """How much is in a folder."""
    with os.scandir(folder) as entries:
        return sum(1 for _ in entries)


def actors() -> list[psutil.Process]:
    """The processes of the cluster that hold the model."""
    found: list[psutil.Process] = []
    for process in psutil.Process().children(recursive=True):
        try:
            name = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if name.startswith("ray::") and "Actor" in name:
            found.append(process)
    return found


@dataclass(frozen=True)
class Look:
    """What was seen from outside at a time."""

    at: float = 0.0
    done: int = 0
    cpu: float = 0.0


@dataclass
class Cost:
    """What a run costs, sampled from outside."""

    studies: int
    seconds: float = 0.0
    """From the command to its end."""
    first: float = 0.0
    """Until the first result."""
    last: float = 0.0
    """Until the last result."""
    steady_ms: float = 0.0
    """Milliseconds a study between the first tenth and the last result."""
    steady_cpu_ms: float = 0.0
    """CPU milliseconds a study of all processes meanwhile: the cluster's, the driver's and these looks at them."""
    driver_cpu: float = 0.0
    driver_mib: float = 0.0
    """Peak memory of the command's process, its own pages only."""
    actor_mib: float = 0.0
    """Peak memory of an actor."""
    load: float = 0.0
    """Mean of the machine's load average meanwhile."""
    killed: list[int] = field(default_factory=list)
    """Results that were there when an actor was killed."""
    said: dict[str, Any] = field(default_factory=dict)
    """The command's own summary."""


def measure(studies: Path, out: Path, model: Path, address: str, *, kill: bool = False, every: float) -> Cost:
    """Score by the command, looking at it from outside every so many seconds."""
    count = n_entries(studies)
    cost, began, times, loads, spent = Cost(count), time.monotonic(), [Look()], [], dict[int, float]()
    work = ["--engine", "ray", "--processes", str(NODES), "--json"]
    call = [sys.executable, "-W", "ignore", "-m", "i2m2_med", "score", str(studies), str(out), "--model", str(model)]
    with subprocess.Popen(
        [*call, *work], stdout=subprocess.PIPE, env={**os.environ, "RAY_ADDRESS": address}
    ) as command:
        driver = psutil.Process(command.pid)
        while command.poll() is None:
            watch(cost, driver, spent)
            loads.append(os.getloadavg()[0])
            done = n_entries(out / "studies") if (out / "studies").is_dir() else 0
            times.append(Look(time.monotonic() - began, done, sum(spent.values())))
            if kill and not cost.killed and done > KILLED_AT * count:
                actors()[0].kill()
                cost.killed.append(done)
            time.sleep(every)
        assert command.stdout is not None
        cost.said = json.loads(command.stdout.read().splitlines()[-1])
    cost.seconds, cost.load = time.monotonic() - began, sum(loads) / len(loads)
    steady(cost, times)
    return cost


def watch(cost: Cost, driver: psutil.Process, spent: dict[int, float]) -> None:
    """Note memory and CPU time of the processes as they are now."""
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.Error):
            spent[process.pid] = sum(process.cpu_times()[:2])
    try:
        cost.driver_mib = max(cost.driver_mib, driver.memory_full_info().uss / 2**20)
        cost.driver_cpu = sum(driver.cpu_times()[:2])
        cost.actor_mib = max([cost.actor_mib, *(actor.memory_full_info().uss / 2**20 for actor in actors())])
    except psutil.Error:
        return  # one of them has just ended


def steady(cost: Cost, looks: Sequence[Look]) -> None:
    """Note how long a study takes once all actors are at work."""
    cost.first = next((look.at for look in looks if look.done), 0.0)
    last = next((look for look in looks if look.done == cost.studies), looks[-1])
    since = next(look for look in looks if look.done > 0.1 * cost.studies or look is looks[-1])
    cost.last = last.at
    if count := last.done - since.done:
        cost.steady_ms = 1e3 * (last.at - since.at) / count
        cost.steady_cpu_ms = 1e3 * (last.cpu - since.cpu) / count


def main() -> None:
    """Measure each size, from scratch and once more with all of them done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("counts", type=int, nargs="+")
    parser.add_argument("--kill", action="store_true", help="kill an actor when 40 %% are done")
    asked = parser.parse_args()
    model = asked.folder / "m" / "model"
    if not model.is_dir():
        write_model(asked.folder / "m")
    for count in asked.counts:
        studies, out = asked.folder / f"studies{count}", asked.folder / f"out{count}"
        if not studies.is_dir():
            write_studies(studies, count)
        for again in (False, True):
            with three_nodes() as address:
                cost = measure(studies, out, model, address, kill=asked.kill and not again, every=1 + count / 20_000)
            print(json.dumps({"again": again, **asdict(cost)}), flush=True)


if __name__ == "__main__":
    main()
