"""What is rehearsed on: samples among which every expert finds what it reads, and a place of which nothing stays."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from i2m2_med.engine.prediction.build import holding
from i2m2_med.engine.training.stage_set import on_stage, some, stage_set
from i2m2_med.samples.cohort import Cohort
from i2m2_med.samples.disk_cache import DiskCache
from i2m2_med.signals import stoppable
from i2m2_med.sources.source import Labels
from tests.engine.prediction.test_probe_rows import model, samples


@pytest.mark.parametrize("most", [1, 2, 8, 40, 99])
def test_few_samples_are_those_that_are_named_and_others(most: int) -> None:
    data = samples(a=[True] * 40, b=[at in {3, 37} for at in range(40)])
    few = some(data, most, {37, 3})
    assert len(few) == min(40, max(2, most))
    assert few.presence["b"].sum() == 2
    assert few.presence["b"].tolist() == some(data, most, [3, 37]).presence["b"].tolist()
    assert len(some(data, most)) == min(40, most)


def test_who_holds_what_an_expert_reads() -> None:
    data = samples(a=[True, True, False, False], b=[True, False, True, False])
    both = model(both=("a", "b"))
    assert holding(both, "both", data).tolist() == [True, False, False, False]
    assert holding(both, "both", data, lenient=True).tolist() == [True, True, True, False]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_stays_though_stopped_twice(number: int, monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    remove = shutil.rmtree

    def stopped_again(folder: str, **named: bool) -> None:
        os.kill(os.getpid(), number)
        remove(folder, **named)

    monkeypatch.setattr(shutil, "rmtree", stopped_again)
    seen: list[Path] = []

    def rehearse() -> None:
        with stoppable(), stage_set() as stage:
            (stage / "weights").write_bytes(b"1")
            seen.append(stage)
            assert os.environ["I2M2_WORK"] == str(stage)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rehearse()
    assert not seen[0].exists()
    assert os.environ["I2M2_WORK"] == str(work)


def test_samples_are_kept_on_the_stage(tmp_path: Path) -> None:
    own = DiskCache(tmp_path / "own", ("t1",))
    cohort = Cohort(
        folder=tmp_path,
        manifest={},
        records=pl.DataFrame(),
        labels=Labels(("y",), ("no", "yes")),
        modalities=("t1",),
        arrays={},
        state={},
        store=own,
    )
    moved = on_stage(cohort, tmp_path / "stage").store
    assert moved is not None
    assert moved.folder.is_relative_to(tmp_path / "stage")
    assert moved.made == own.made
    assert on_stage(replace(cohort, store=None), tmp_path).store is None
