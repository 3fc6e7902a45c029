"""Studies are scored once they have settled, and again when they change."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.parts import Part
from i2m2_med.scoring.watch import watch_studies

from .conftest import job_of
from .test_run import HERE


def in_turn(*steps: Callable[[], object]) -> Callable[[], bool]:
    """Does one step each half second, and then says that it is over."""
    left = list(steps)
    due = [time.monotonic() + 0.5]

    def stopped() -> bool:
        if time.monotonic() < due[0]:
            return False
        due[0] += 1.5
        if not left:
            return True
        left.pop(0)()
        return False

    return stopped


def test_studies_that_arrive_are_scored_when_they_are_whole(
    digits_studies: Path, digits_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    studies = tmp_path / "studies"
    shutil.copytree(digits_studies / "study00", studies / "first")
    whole = (digits_studies / "study03" / "image.npy").read_bytes()
    late = studies / "late" / "image.npy"
    steps = (
        lambda: (late.parent.mkdir(), late.write_bytes(whole[:200])),
        lambda: late.write_bytes(whole),
        lambda: None,
    )
    summary = watch_studies(
        job_of(digits_model, tmp_path / "out"), str(studies), HERE, Part(), 0.1, 0.6, in_turn(*steps)
    )
    assert (summary.studies, summary.ok) == (2, 2)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("first", "late"))]
    assert said[0].startswith("first: scored")
    assert said[-1].startswith("late: scored")
    assert set(pd.read_parquet(tmp_path / "out" / "scores.parquet")["status"]) == {"ok"}
