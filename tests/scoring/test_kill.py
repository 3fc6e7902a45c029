"""Killed at any moment and started again, a run ends with the bytes of an undisturbed one."""

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from i2m2_med.pipelines.score import main as score

from i2m2_med.scoring.options import ModelOptions, WorkOptions
from i2m2_med.scoring.workers.forkserver import start_method

from .test_run import contents


@pytest.mark.slow
def test_killed_at_twenty_moments(digits_studies: Path, digits_model: Path, tmp_path: Path) -> None:
    """Reader and model in one process, forked from a warm server that has no threads."""
    forked = start_method()

    def start(out: Path) -> Any:
        options = {"model": ModelOptions(str(digits_model), device="cpu"), "work": WorkOptions(readers=0)}
        process = forked.Process(target=score, args=(str(digits_studies), out), kwargs=options)
        process.start()
        return process

    took = 0.0
    for name in ("warm", "undisturbed"):
        began = time.monotonic()
        undisturbed = start(tmp_path / name)
        undisturbed.join(120)
        took = time.monotonic() - began
        assert undisturbed.exitcode == 0
    whole = contents(tmp_path / "undisturbed")
    moments = random.Random(7)
    killed = 0
    for attempt in range(20):
        out = tmp_path / f"killed{attempt}"
        for _ in range(2):
            victim = start(out)
            time.sleep(moments.uniform(0, took))
            victim.kill()
            victim.join()
        killed += victim.exitcode == -signal.SIGKILL
        last = start(out)
        last.join(120)
        assert last.exitcode == 0
        assert contents(out) == whole
        assert not list((out / ".score").rglob("*.part"))
    assert killed > 10
