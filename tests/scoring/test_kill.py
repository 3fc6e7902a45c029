"""Killed at any moment and started again, a run ends with the bytes of an undisturbed one."""

import multiprocessing
import random
import time
from pathlib import Path

import pytest
import torch

from i2m2_med.scoring.run import local_engine

from .test_run import contents, score_all


def child(studies: Path, model: Path, out: Path) -> None:
    """What is killed: readers and model in one process, forked from a warm one."""
    torch.set_num_threads(1)
    score_all(studies, model, out, engine=local_engine(0, 1, 60.0))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_killed_at_twenty_moments(digits_studies: Path, digits_model: Path, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")

    def start(out: Path) -> multiprocessing.Process:
        process = fork.Process(target=child, args=(digits_studies, digits_model, out))
        process.start()
        return process

    began = time.monotonic()
    undisturbed = start(tmp_path / "undisturbed")
    undisturbed.join(120)
    took = time.monotonic() - began
    assert undisturbed.exitcode == 0
    whole = contents(tmp_path / "undisturbed")
    moments = random.Random(7)
    for attempt in range(20):
        out = tmp_path / f"killed{attempt}"
        for _ in range(2):
            victim = start(out)
            time.sleep(moments.uniform(0, took))
            victim.kill()
            victim.join()
        last = start(out)
        last.join(120)
        assert last.exitcode == 0
        assert contents(out) == whole
        assert not list((out / ".score").rglob("*.part"))
