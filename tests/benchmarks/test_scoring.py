"""Scoring beside what it costs at least: the bare network, the issue's budgets, one process, few studies."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from i2m2_med.console import Progress
from i2m2_med.parts import Part
from i2m2_med.scoring.answer import StudyPredictor
from i2m2_med.scoring.reading import Chunk, Reader
from i2m2_med.scoring.run import score
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.workers.engine import local_engine
from i2m2_med.simulate.knee.write import simulate as simulate_knee
from i2m2_med.simulate.studies import simulate
from tests.benchmarks.costs import cpu_seconds, wall_seconds
from tests.benchmarks.figures import Figures
from tests.scoring.conftest import DIGITS, job_of, untrained

HERE = local_engine(0, 1, 600.0)


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


def test_knee_time_outside_the_network(figures: Figures, tmp_path: Path) -> None:
    """The published networks on 640 × 368 slices, in one process on one thread: nothing overlaps."""
    simulate(tmp_path / "studies", kind="knee", count=1, seed=1, matrix="640x368", slices=1)
    model = untrained("knee_i2m2", tmp_path / "model", (f"source.root={tmp_path}",))
    torch.set_num_threads(1)
    network = bare(model, tmp_path / "studies")
    network()

    def whole() -> float:
        started = cpu_seconds(lambda: StudyPredictor(job_of(model, Path())))
        return cpu_seconds(lambda: run(model, tmp_path / "studies", tmp_path / "out")) - started

    what = "scoring knees with the published networks, folder to rows"
    figures.beside("knee", what, whole, "the networks alone", lambda: cpu_seconds(network), repeats=3, at_most=1.11)


@pytest.mark.quick
def test_cheap_expert_slices_per_second_and_core(figures: Figures, tmp_path: Path) -> None:
    """File to row with a network that costs next to nothing; fastMRI volumes, as downloaded."""
    volumes(tmp_path / "studies", count=2, slices=15)
    cheap = "{reads: [magnitude], network: {_target_: i2m2_med.experts.PreActResNet18, channels: 1, stem: strided, width: 2, pool: 2}}"
    overrides = (
        f"source.root={tmp_path}",
        f"experts={{magnitude: {cheap}}}",
        "scoring.batch=10",
        "evaluation.primary=null",
    )
    model = untrained("knee_demo", tmp_path / "model", overrides)
    reader, predictor = Reader(model), StudyPredictor(job_of(model, Path()))
    torch.set_num_threads(1)
    folders = [study.folder for study in find_studies(str(tmp_path / "studies"))]

    def file_to_answer() -> None:
        pieces = [piece for folder in folders for piece in (reader.content(folder), *reader.chunks(folder))]
        assert sum(len(predictor.backend(piece).log_probs) for piece in pieces if isinstance(piece, Chunk)) == 30

    file_to_answer()
    spent = [cpu_seconds(file_to_answer) / 30 * 1e3 for _ in range(3)]
    what = "a slice of 640 × 368 from file to row, an expert that costs next to nothing"
    figures.add("slice", what, spent, "60 slices a second and core", [1e3 / 60] * 3, "CPU ms", 1.0)


@pytest.mark.timeout(900)
def test_studies_cost_the_same_however_many(figures: Figures, tmp_path: Path) -> None:
    """MIMIC-style studies, a hundred to three thousand, scored in one process from scratch; more of them were scored once (docs)."""
    sizes, costs = (50, 100) if figures.once else (100, 1_000, 3_000), []
    state = {name: {"mean": [0.0] * n, "std": [50.0] * n} for name, n in {"series": 12, "static": 5}.items()}
    model = untrained("mimic3_demo", tmp_path / "model", (f"source.root={tmp_path}",), state)
    for size in sizes:
        simulate(tmp_path / "studies", kind="mimic3", count=size, seed=3)
        costs.append(cpu_seconds(lambda: run(model, tmp_path / "studies", tmp_path / "out")))
        shutil.rmtree(tmp_path / "studies")
    figures.exponent("studies", "small studies: CPU time of scoring", sizes, [costs], at_most=1.05)
    what = f"10,000 small studies (MIMIC-style), from {sizes[-1]:,}"
    figures.add("small", what, [costs[-1] / sizes[-1] * 10_000], "a minute of two cores", [120.0], "CPU s", 1.0)


def test_start_to_first_row(figures: Figures, tmp_path: Path) -> None:
    """The command, from a cold start to the row of one study."""
    simulate(tmp_path / "studies", kind="mimic3", count=1, seed=3)
    state = {name: {"mean": [0.0] * n, "std": [50.0] * n} for name, n in {"series": 12, "static": 5}.items()}
    model = untrained("mimic3_demo", tmp_path / "model", (f"source.root={tmp_path}",), state)
    call = [sys.executable, "-c", "from i2m2_med.cli import run; run()", "score", str(tmp_path / "studies")]

    def command() -> float:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        whole = [*call, str(tmp_path / "out"), "--model", str(model)]
        spent = cpu_seconds(lambda: subprocess.run(whole, capture_output=True))
        assert (tmp_path / "out" / "scores.parquet").exists()
        return spent

    bare_import = [sys.executable, "-W", "ignore", "-c", "import monai"]
    imports = lambda: cpu_seconds(lambda: subprocess.run(bare_import, check=True))  # noqa: E731
    figures.beside("start", "`i2m2 score` of one study, start to row", command, "importing MONAI", imports, repeats=2)


def test_two_processes(figures: Figures, tmp_path: Path) -> None:
    """Wall time of one model process against two, networks on one thread each, both reading for themselves."""
    volumes(tmp_path / "studies", count=2 if figures.once else 8, slices=1)
    volumes(tmp_path / "few", count=1, slices=1)
    model = untrained("knee_i2m2", tmp_path / "model", (f"source.root={tmp_path}",))
    torch.set_num_threads(1)
    run(model, tmp_path / "few", tmp_path / "warm", local_engine(1, 1, 600.0))  # starts the fork server

    def by(n_models: int) -> float:
        return wall_seconds(
            lambda: run(model, tmp_path / "studies", tmp_path / "out", local_engine(1, n_models, 600.0))
        )

    what = "8 knees scored by two model processes (1.8 times as fast asked for)"
    figures.beside("two", what, lambda: by(2), "by one", lambda: by(1), unit="s", repeats=1, at_most=0.56)


PEAK = """
import resource, sys, time
from pathlib import Path
from i2m2_med.console import Progress
from i2m2_med.scoring import answer
from i2m2_med.parts import Part
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


def test_memory_does_not_grow_with_studies(figures: Figures, tmp_path: Path) -> None:
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
    what = "memory of scoring 2,000 studies, the model slower than its readers"
    figures.add("memory", what, [peak(2000) / 1e6], "of 100", [few / 1e6], "GB", 1.05)
