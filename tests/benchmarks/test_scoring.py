"""Scoring beside what it costs at least: the bare network, the issue's budgets, one process, few studies. Ratios of one run."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from i2m2_med.console import Progress
from i2m2_med.scoring.answer import StudyPredictor
from i2m2_med.scoring.output_lock import Part
from i2m2_med.scoring.reading import Chunk, Reader
from i2m2_med.scoring.run import score
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.workers.engine import local_engine
from i2m2_med.simulate.knee.write import simulate as simulate_knee
from i2m2_med.simulate.studies import simulate
from tests.scoring.conftest import DIGITS, job_of, untrained

HERE = local_engine(0, 1, 600.0)


def report(title: str, rows: list[tuple[str, str]]) -> None:
    """A table on standard output."""
    print(f"\n{title}")
    for what, value in rows:
        print(f"  {what:<64} {value:>12}")


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that `work` takes."""
    began = clock()
    work()
    return clock() - began


def run(model: Path, studies: Path, out: Path, engine: Any = HERE) -> None:
    """Score from scratch."""
    shutil.rmtree(out, ignore_errors=True)
    score(job_of(model, out), find_studies(str(studies)), engine, Part(), Progress())


def bare(model: Path, studies: Path) -> Callable[[], None]:
    """The network alone on what the readers would give it."""
    reader, predictor = Reader(model), StudyPredictor(job_of(model, Path()))
    folders = [study.folder for study in find_studies(str(studies))]
    chunks = [piece for folder in folders for piece in reader.chunks(folder) if isinstance(piece, Chunk)]

    def work() -> None:
        for chunk in chunks:
            predictor.backend(chunk)

    return work


def volumes(studies: Path, count: int, slices: int) -> None:
    """Whole knee volumes of fastMRI's size, one per study."""
    simulate_knee(studies / ".data", volumes=count, slices=slices, matrix="640x368", seed=2)
    for path in sorted((studies / ".data").rglob("*.h5")):
        (studies / path.stem).mkdir()
        path.rename(studies / path.stem / path.name)


def test_knee_time_outside_the_network(benchmark: Any, tmp_path: Path) -> None:
    """The published networks on 640 × 368 slices, in one process on one thread: nothing overlaps."""
    simulate(tmp_path / "studies", kind="knee", count=3, seed=1, matrix="640x368", slices=2)
    model = untrained("knee_i2m2", tmp_path / "model", (f"source.root={tmp_path}",))
    torch.set_num_threads(1)
    network = bare(model, tmp_path / "studies")
    network()
    alone = timed(network, time.process_time)
    whole = benchmark.pedantic(
        lambda: (
            timed(lambda: run(model, tmp_path / "studies", tmp_path / "out"), time.process_time)
            - timed(lambda: StudyPredictor(job_of(model, Path())), time.process_time)
        ),
        rounds=1,
    )
    report(
        "knee I2M2, published networks, one thread",
        [
            ("time outside the network (at most 10 %)", f"{100 * (1 - alone / whole):.1f} %"),
            ("of the bare network's throughput (at least 85 %)", f"{100 * alone / whole:.1f} %"),
        ],
    )


def test_cheap_expert_slices_per_second_and_core(benchmark: Any, tmp_path: Path) -> None:
    """File to row with a network that costs next to nothing; fastMRI volumes, as downloaded."""
    volumes(tmp_path / "studies", count=3, slices=20)
    cheap = "{reads: [magnitude], network: {_target_: i2m2_med.experts.PreActResNet18, channels: 1, stem: strided, width: 2, pool: 2}}"
    overrides = (f"source.root={tmp_path}", f"experts={{magnitude: {cheap}}}", "scoring.batch=10")
    model = untrained("knee_demo", tmp_path / "model", overrides)
    reader, predictor = Reader(model), StudyPredictor(job_of(model, Path()))
    torch.set_num_threads(1)
    folders = [study.folder for study in find_studies(str(tmp_path / "studies"))]

    def file_to_answer() -> int:
        pieces = [piece for folder in folders for piece in (reader.content(folder), *reader.chunks(folder))]
        return sum(len(predictor.backend(piece).log_probs) for piece in pieces if isinstance(piece, Chunk))

    n_slices = file_to_answer()
    spent = benchmark.pedantic(lambda: timed(file_to_answer, time.process_time), rounds=1)
    report(
        "cheap expert, 640 × 368", [("× the 60 slices per second and core asked for", f"{n_slices / spent / 60:.2f}")]
    )


def test_small_stays(benchmark: Any, tmp_path: Path) -> None:
    """MIMIC-style studies: CPU time against two cores for a minute, scaled to 10,000 studies."""
    count = 600
    simulate(tmp_path / "studies", kind="mimic3", count=count, seed=3)
    state = {name: {"mean": [0.0] * n, "std": [50.0] * n} for name, n in {"series": 12, "static": 5}.items()}
    model = untrained("mimic3_demo", tmp_path / "model", (f"source.root={tmp_path}",), state)
    run(model, tmp_path / "studies", tmp_path / "out")
    spent = benchmark.pedantic(
        lambda: timed(lambda: run(model, tmp_path / "studies", tmp_path / "out"), time.process_time), rounds=1
    )
    report("10,000 stays", [("of two cores' minute (at most 1)", f"{spent / count * 10_000 / 120:.2f}")])


def test_start_to_first_row(benchmark: Any, tmp_path: Path) -> None:
    """The command, from a cold start to the row of one study, against 15 s; and against importing MONAI alone."""
    simulate(tmp_path / "studies", kind="mimic3", count=1, seed=3)
    state = {name: {"mean": [0.0] * n, "std": [50.0] * n} for name, n in {"series": 12, "static": 5}.items()}
    model = untrained("mimic3_demo", tmp_path / "model", (f"source.root={tmp_path}",), state)
    call = [sys.executable, "-c", "from i2m2_med.cli import run; run()", "score", str(tmp_path / "studies")]
    monai = timed(lambda: subprocess.run([sys.executable, "-W", "ignore", "-c", "import monai"], check=True))
    whole = benchmark.pedantic(
        lambda: timed(lambda: subprocess.run([*call, str(tmp_path / "out"), "--model", str(model)], check=False)),
        rounds=1,
    )
    report("start to first row", [("of 15 s", f"{whole / 15:.2f}"), ("× importing MONAI", f"{whole / monai:.2f}")])


def test_two_processes(benchmark: Any, tmp_path: Path) -> None:
    """Wall time of one model process against two, networks on one thread each, both reading for themselves."""
    volumes(tmp_path / "studies", count=12, slices=1)
    volumes(tmp_path / "few", count=1, slices=1)
    model = untrained("knee_i2m2", tmp_path / "model", (f"source.root={tmp_path}",))
    torch.set_num_threads(1)
    run(model, tmp_path / "few", tmp_path / "warm", local_engine(1, 1, 600.0))  # starts the fork server
    one = timed(lambda: run(model, tmp_path / "studies", tmp_path / "one", local_engine(1, 1, 600.0)))
    two = benchmark.pedantic(
        lambda: timed(lambda: run(model, tmp_path / "studies", tmp_path / "two", local_engine(1, 2, 600.0))), rounds=1
    )
    report("two model processes", [("× one (1.8 asked for, where two cores are free)", f"{one / two:.2f}")])


PEAK = """
import resource, sys, time
from pathlib import Path
from i2m2_med.console import Progress
from i2m2_med.scoring import answer
from i2m2_med.scoring.output_lock import Part
from i2m2_med.scoring.job import Job, model_hash
from i2m2_med.scoring.run import score
from i2m2_med.scoring.workers.engine import local_engine
from i2m2_med.scoring.studies import find_studies

if __name__ == "__main__":
    model, studies, out = map(Path, sys.argv[1:4])
    add = answer.StudyPredictor.add

    def slowly(*given):
        time.sleep(0.002)
        return add(*given)

    answer.StudyPredictor.add = slowly
    job = Job(model, "m", model_hash(model), out)
    score(job, find_studies(str(studies)), local_engine(1, 1, 600.0), Part(), Progress())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_memory_does_not_grow_with_studies(benchmark: Any, tmp_path: Path) -> None:
    """Peak memory of 2,000 studies (10,000 take the same code, five times as long) against 100; the model is the slower part."""
    (tmp_path / "digits.yaml").write_text(DIGITS, encoding="utf-8")
    model = untrained(str(tmp_path / "digits.yaml"), tmp_path / "model", (f"source.root={tmp_path}",))
    pixels = np.random.default_rng(0).random((1, 112, 112), dtype=np.float32)
    for count in (100, 2000):
        for number in range(count):
            folder = tmp_path / f"{count}" / f"{number}"
            folder.mkdir(parents=True)
            np.save(folder / "audio.npy", pixels)
    (tmp_path / "peak.py").write_text(PEAK, encoding="utf-8")

    def peak(count: int) -> int:
        places = [str(model), str(tmp_path / f"{count}"), str(tmp_path / f"out{count}")]
        call = [sys.executable, "-W", "ignore", str(tmp_path / "peak.py"), *places]
        return sum(map(int, subprocess.run(call, check=True, capture_output=True, text=True).stdout.split()))

    few = peak(100)
    many = benchmark.pedantic(lambda: peak(2000), rounds=1)
    report("peak memory, 2,000 studies against 100", [("× (1 asked for)", f"{many / few:.3f}")])
