"""Knee slices from file to network input beside the published path, multi-coil beside single-coil, memory and bytes written.

Times are taken in a process of their own, the two sides in turns of ten slices each, so that a busy machine is busy for both
and each finds its memory as a loader that reads slice after slice does; in it nothing checks types at run time, as in use.
CPU time is that of one thread, as a loader's worker has; wall time also that of a default process, one thread per core: NumPy's
transform, which the published side is, takes one thread whatever there are.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest
import scipy.fft
import torch
from monai.transforms.compose import Compose

from i2m2_med.samples import LoadSliced, Modalitiesd, Reconstructd
from i2m2_med.samples.coils import reconstruct
from i2m2_med.simulate.knee import write as knee
from i2m2_med.sources.fastmri.source import Settings, Source
from i2m2_med.sources.source import Flow, Progress
from tests.benchmarks.costs import PEAK, apart, cpu_seconds
from tests.benchmarks.figures import Figures

ROUNDS, RUN, REPEATS = 4, 10, 5
COILS = 15
Times = dict[str, float]


def prepared(place: Path, coils: int, volumes: int = 1, slices: int = 4) -> pl.DataFrame:
    """Records of simulated volumes of full size."""
    knee.simulate(place / "data", volumes=volumes, slices=slices, coils=coils)
    return Source(Settings(root=place / "data", coils="any")).ingest(place, place / "cache", Flow(), Progress())


def reader(record: dict[str, Any], parity: str = "none") -> Callable[[], Any]:
    """What a worker does for one slice."""
    transform = Compose([LoadSliced(), Reconstructd(parity=parity), Modalitiesd(scale="none")])
    return lambda: transform(record)


def published_copy(record: dict[str, Any], path: Path) -> Path:
    """The copy that the published code writes of a slice: zero-filled to 640 × 400, complex128, a file of its own."""
    kspace = LoadSliced()(record)["kspace"][0].numpy()
    left = (400 - kspace.shape[-1]) // 2
    filled = np.zeros((kspace.shape[0], 400), np.complex128)
    filled[:, left : left + kspace.shape[-1]] = kspace
    with h5py.File(path, "w") as file:
        file["kspace"] = filled
    return path


def published(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Open the copy, transform all of it, crop, split: what the published data set does for each item."""
    with h5py.File(path, "r") as file:
        kspace = file["kspace"][()]
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace), norm="ortho"))
    image = image[160:480, 40:360]
    return torch.from_numpy(np.abs(image))[None].float(), torch.from_numpy(np.angle(image))[None].float()


def limit(kspace: np.ndarray) -> Callable[[], Any]:
    """The same two passes by bare scipy, the second over the rows that are kept, with nothing centred."""
    return lambda: scipy.fft.ifft(scipy.fft.ifft(kspace, axis=-2)[160:480], axis=-1)


def in_turns(ways: dict[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, Times]:
    """Wall and CPU milliseconds of each way: the fastest tenth of the calls, where the machine was least busy."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            run()
            for _ in range(RUN):
                wall, cpu = time.perf_counter(), time.process_time()
                run()
                taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    quick = {name: np.quantile(np.array(times), 0.1, axis=0) * 1e3 for name, times in taken.items()}
    return {name: {"wall": float(found[0]), "cpu": float(found[1])} for name, found in quick.items()}


def private_megabytes() -> float:
    """Memory of this process that it shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def worker_peak(rows: list[dict[str, Any]], answer: Any) -> None:
    """Read every slice and tell the most memory that was held, beyond what the worker began with."""
    begin, peak = private_megabytes(), 0.0
    for row in rows * 3:
        held = reader(row)()
        peak = max(peak, private_megabytes())
        del held
    answer.put((begin, peak))


def times(single: Path, multi: Path) -> dict[str, Any]:
    """Everything of one thread, repetition by repetition; then the published path in a default process."""
    torch.set_num_threads(1)
    one, many = (pl.read_parquet(path).row(1, named=True) for path in (single, multi))
    copy = published_copy(one, single.with_name("copy.h5"))
    kspace = LoadSliced()(one)["kspace"]
    ways = {
        "published": lambda: published(copy),
        "ours": reader(one, "published"),
        "limit": limit(kspace[0].numpy()),
        "transform": lambda: reconstruct(kspace, 320, 320),
        "modalities": made_of(kspace, one),
        "one": reader(one),
    }
    found = [in_turns(ways) for _ in range(REPEATS)]
    coils = [in_turns({"one": ways["one"], "many": reader(many)}, rounds=2) for _ in range(REPEATS)]
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    default = [in_turns({name: ways[name] for name in ("published", "ours")}) for _ in range(REPEATS)]
    return {"times": found, "coils": coils, "default": default}


def made_of(kspace: torch.Tensor, record: dict[str, Any]) -> Callable[[], Any]:
    """K-space in memory to magnitude and phase."""
    transform = Compose([Reconstructd(), Modalitiesd(scale="none")])
    return lambda: transform({**record, "kspace": kspace})


def equality(single: Path) -> dict[str, Any]:
    """How far ours is from the published path, and whether more threads change a bit."""
    torch.set_num_threads(1)
    one = pl.read_parquet(single).row(1, named=True)
    copy = published_copy(one, single.with_name("copy.h5"))
    found, expected = reader(one, "published")(), torch.polar(*published(copy))
    error = float((torch.polar(found["magnitude"], found["phase"]) - expected).norm() / expected.norm())
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    again = reader(one, "published")()
    return {"error": error, "same": all(torch.equal(found[name], again[name]) for name in ("magnitude", "phase"))}


def memory(multi: Path) -> dict[str, float]:
    """Of a forked worker that reads slices of many coils."""
    torch.set_num_threads(1)
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    worker = context.Process(target=worker_peak, args=(pl.read_parquet(multi).to_dicts(), answer))
    worker.start()
    begin, peak = answer.get()
    worker.join()
    return {"begin": begin, "peak": peak}


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Records of a volume of one coil and of one of many."""
    place = tmp_path_factory.mktemp("volumes")
    records = {coils: place / f"{coils}.parquet" for coils in (1, COILS)}
    for coils, path in records.items():
        prepared(place / str(coils), coils, slices=2).write_parquet(path)
    return records


def alone(what: str, *arguments: object) -> Any:
    """One of the functions above in a process of its own."""
    script = f"import json, sys; from pathlib import Path; from tests.benchmarks.test_knee import {what}\n"
    return apart(f"{script}print(json.dumps({what}(*map(Path, sys.argv[1:]))))", *arguments)


@pytest.mark.quick
def test_slices_beside_the_published_path_and_bare_transforms(figures: Figures, volumes: dict[int, Path]) -> None:
    found = alone("times", volumes[1], volumes[COILS])

    def series(kind: str, name: str, clock: str = "cpu", scale: float = 1.0) -> list[float]:
        return [each[name][clock] * scale for each in found[kind]]

    theirs, what = "as published", "a slice 640×368 → 320×320, file to magnitude and phase, published geometry"
    for clock, unit in (("cpu", "CPU ms"), ("wall", "ms")):
        figures.add(
            f"published_{clock}",
            what,
            series("times", "ours", clock),
            theirs,
            series("times", "published", clock),
            unit,
        )
    figures.add("published_threads", f"{what}, threads as a default process has them", series("default", "ours", "wall"), theirs, series("default", "published", "wall"), "ms")  # fmt: skip
    bare, scipys = series("times", "limit"), "scipy.fft of the same two passes"
    for name, said in (
        ("transform", "k-space of a slice to its complex image"),
        ("modalities", "k-space of a slice to magnitude and phase"),
        ("one", "file of a slice to magnitude and phase"),
    ):
        figures.add(f"limit_{name}", said, series("times", name), scipys, bare, "CPU ms", 2.0)
    each = series("coils", "one", scale=COILS)
    figures.add(
        "coils", f"a slice of {COILS} coils", series("coils", "many"), f"{COILS} × a slice of one", each, "CPU ms", 1.0
    )


def test_a_slice_is_the_published_one_and_a_worker_stays_small(figures: Figures, volumes: dict[int, Path]) -> None:
    found = alone("equality", volumes[1])
    assert found["error"] < 1e-6
    assert found["same"]
    held = alone("memory", volumes[COILS])
    what = f"a worker's own memory, slices of {COILS} coils"
    figures.add("worker_memory", what, [held["peak"] / 1e3], "300 MB", [0.3], "GB", 1.0)


@pytest.mark.quick
def test_bytes_that_prepare_writes(figures: Figures, tmp_path: Path) -> None:
    prepared(tmp_path, coils=1, volumes=2, slices=6).write_parquet(tmp_path / "records.parquet")
    made = [tmp_path / "records.parquet", *(path for path in (tmp_path / "cache").rglob("*") if path.is_file())]
    written = sum(path.stat().st_size for path in made) / 1e6
    source = sum(path.stat().st_size for path in (tmp_path / "data").rglob("*.h5")) / 1e6
    figures.add("written", "bytes that preparing knees writes", [written], "the volumes", [source], "MB", 0.01)


def test_slices_cost_what_one_costs_each(figures: Figures, tmp_path: Path) -> None:
    """Preparing and reading volumes of more and more slices."""
    sizes = (4, 12, 36)
    for size in sizes:
        knee.simulate(tmp_path / f"{size}" / "data", volumes=1, slices=size)

    def cost(size: int, repeat: int) -> float:
        return cpu_seconds(lambda: read_all(tmp_path / f"{size}", f"cache{repeat}"))

    costs = [[cost(size, repeat) for size in sizes] for repeat in range(1 if figures.once else 3)]
    figures.exponent("slices", "preparing and reading slices", sizes, costs, at_most=1.1)


def read_all(place: Path, name: str) -> None:
    """Prepare a volume and read each of its slices."""
    source = Source(Settings(root=place / "data", coils="any"))
    for record in source.ingest(place, place / name, Flow(), Progress()).to_dicts():
        reader(record)()


STEP = f"""
import sys
import torch
from i2m2_med.config.reader import load_config
from i2m2_med.engine.prediction.build import build_model
from i2m2_med.engine.training.loss import MaskedNLL, Objective
from i2m2_med.sources.source import Labels
from i2m2_med.config.targets import build

run, _ = load_config("knee_i2m2", ("source.root=.",))
slices = int(sys.argv[1])
experts = run.paradigms["i2m2"].experts
model = build_model(run, experts, Labels(("abnormal", "meniscus_tear", "acl", "cartilage"), ("absent", "present")), 0)
rate = run.training.learning_rates[0]
optimizer = build(run.training.optimizer, "optimizer", "training.optimizer", params=list(model.parameters()), lr=rate)
inputs = {{name: torch.randn(slices, 1, 320, 320) for name in ("magnitude", "phase")}}
present = {{name: torch.ones(slices, dtype=torch.bool) for name in inputs}}
loss = Objective(MaskedNLL(torch.ones(4, 2)))(model(inputs, present), torch.randint(0, 2, (slices, 4)))
loss.backward()
optimizer.step()
print({PEAK})
"""


@pytest.mark.timeout(900)
def test_memory_of_a_training_step(figures: Figures) -> None:
    """One step of `knee_i2m2` as shipped, of one slice and of two; activations grow by the slice, so that the paper's 16 follow."""
    one, two = (apart(STEP, slices) for slices in (1, 2))
    what = "memory of a step of knee_i2m2 at batch 16, from those of one slice and of two"
    figures.add("step_memory", what, [one + (two - one) * 15], "16 GB", [16.0], "GB", 1.0)
