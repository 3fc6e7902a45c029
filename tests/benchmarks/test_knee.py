"""Knee slices from file to network input beside the published path, multi-coil beside single-coil, memory and bytes written.

Times are taken in a process of their own, the two sides in turns of ten slices each, so that a busy machine is busy for both
and each finds its memory as a loader that reads slice after slice does; in it nothing checks types at run time, as in use.
CPU time is that of one thread, as a loader's worker has; wall time also that of a default process, one thread per core: NumPy's
transform, which the published side is, takes one thread whatever there are.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest
import torch
from monai.transforms.compose import Compose

from i2m2_med.samples import LoadSliced, Modalitiesd, Reconstructd
from i2m2_med.simulate.knee import write as knee
from i2m2_med.sources.fastmri.source import Settings, Source
from i2m2_med.sources.source import Flow, Progress

ROUNDS, RUN = 20, 10
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


def measure(single: Path, multi: Path) -> dict[str, Any]:
    """Everything that needs a quiet process: times, and the memory of a forked worker."""
    torch.set_num_threads(1)
    one, many = (pl.read_parquet(path).row(1, named=True) for path in (single, multi))
    copy = published_copy(one, single.with_name("copy.h5"))
    found, expected = reader(one, "published")(), torch.polar(*published(copy))
    error = float((torch.polar(found["magnitude"], found["phase"]) - expected).norm() / expected.norm())
    ways = {"published": lambda: published(copy), "ours": reader(one, "published")}
    times = in_turns(ways)
    coils = in_turns({"one": reader(one), "many": reader(many)}, rounds=4)
    torch.set_num_threads(cores := len(os.sched_getaffinity(0)))
    again = reader(one, "published")()
    same = all(torch.equal(found[name], again[name]) for name in ("magnitude", "phase"))
    default = in_turns(ways)
    torch.set_num_threads(1)
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    worker = context.Process(target=worker_peak, args=(pl.read_parquet(multi).to_dicts(), answer))
    worker.start()
    begin, peak = answer.get()
    worker.join()
    share = Path(one["_data"]).stat().st_size / one["_shape"][0] / copy.stat().st_size
    speed = {"times": times, "default": default, "cores": cores, "coils": coils}
    return {"error": error, "same": same, **speed, "begin": begin, "peak": peak, "share": share}


@pytest.mark.slow
@pytest.mark.benchmark(group="knee")
def test_slices_beside_the_published_path(benchmark, tmp_path: Path) -> None:
    records = {coils: tmp_path / f"{coils}.parquet" for coils in (1, COILS)}
    for coils, path in records.items():
        prepared(tmp_path / str(coils), coils, slices=2).write_parquet(path)
    command = [sys.executable, __file__, *map(str, records.values())]
    run = benchmark.pedantic(
        lambda: subprocess.run(command, check=True, capture_output=True, text=True).stdout, rounds=1
    )
    found = json.loads(run)
    theirs, ours = found["times"]["published"], found["times"]["ours"]
    ratios = {kind: theirs[kind] / ours[kind] for kind in ("wall", "cpu")}
    default = {name: found["default"][name]["wall"] for name in ("published", "ours")}
    ratios["wall_default_threads"] = default["published"] / default["ours"]
    per_coil = found["coils"]["many"]["cpu"] / found["coils"]["one"]["cpu"] / COILS
    benchmark.extra_info.update(
        ratios, per_coil=per_coil, relative_error=found["error"], worker_megabytes=found["peak"]
    )
    print(
        f"\nknee slice 640×368 → 320×320, published geometry, one thread: {theirs['wall']:.2f} ms as published, {ours['wall']:.2f} ms here; "
        f"{ratios['wall']:.1f}× wall, {ratios['cpu']:.1f}× CPU, relative error {found['error']:.1e}"
        f"\nthe same in a default process ({found['cores']} threads): {default['published']:.2f} ms as published, {default['ours']:.2f} ms here; "
        f"{ratios['wall_default_threads']:.1f}× wall, the same bits as on one thread: {found['same']}"
        f"\nknee slice of {COILS} coils: {found['coils']['many']['cpu']:.1f} ms CPU, {per_coil:.2f} × ({COILS} × one coil)"
        f"\nknee worker, {COILS} coils: {found['peak']:.0f} MB of its own at most, {found['begin']:.0f} MB before it read anything"
    )
    assert found["error"] < 1e-6
    assert found["same"]
    assert found["peak"] < 300


@pytest.mark.slow
@pytest.mark.benchmark(group="knee")
def test_bytes_that_prepare_writes(benchmark, tmp_path: Path) -> None:
    records = benchmark.pedantic(lambda: prepared(tmp_path, coils=1, volumes=2, slices=6), rounds=1)
    records.write_parquet(tmp_path / "records.parquet")
    made = [tmp_path / "records.parquet", *(path for path in (tmp_path / "cache").rglob("*") if path.is_file())]
    written = sum(path.stat().st_size for path in made)
    source = sum(path.stat().st_size for path in (tmp_path / "data").rglob("*.h5"))
    benchmark.extra_info.update(written_share=written / source)
    print(f"\nknee prepare writes {written:,} bytes for {source:,} bytes of volumes: {100 * written / source:.3f} %")
    assert written < 0.01 * source


STEP = """
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
inputs = {name: torch.randn(slices, 1, 320, 320) for name in ("magnitude", "phase")}
present = {name: torch.ones(slices, dtype=torch.bool) for name in inputs}
loss = Objective(MaskedNLL(torch.ones(4, 2)))(model(inputs, present), torch.randint(0, 2, (slices, 4)))
loss.backward()
optimizer.step()
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.benchmark(group="knee")
def test_memory_of_training_at_batch_16(benchmark) -> None:
    """One optimisation step of `knee_i2m2` as shipped, at the paper's batch (minutes); as a test only, of two slices."""
    slices = "2" if benchmark.disabled else "16"
    command = [sys.executable, "-c", STEP, slices]
    said = benchmark.pedantic(
        lambda: subprocess.run(command, check=True, capture_output=True, text=True).stdout, rounds=1
    )
    gigabytes = int(said) * 1024 / 1e9
    benchmark.extra_info.update(slices=int(slices), peak_gigabytes=gigabytes)
    print(f"\nknee_i2m2, PreActResNet-18 × 3, one step of {slices} slices 320×320: {gigabytes:.1f} GB at the peak")
    assert gigabytes < 16


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]))))
