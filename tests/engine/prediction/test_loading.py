"""Batches by workers: the samples that one process reads, whatever their number; they stay for all epochs, and leave nothing behind."""

import gc
import multiprocessing
import os
import random
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import RandGaussianNoised

from i2m2_med.engine.prediction.loading import Batches, loader
from i2m2_med.errors import SourceError, UserError
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

Read = Callable[[dict[str, Any]], dict[str, Any]]


def samples(n: int, read: Read, augment: Any = None) -> Samples:
    records = pl.DataFrame({"item": range(n), "label_sick": [0] * n})
    transform: Any = Compose([read])  # which wraps what a step raises
    return Samples(records, Labels(("sick",), ("no", "yes")), ["x"], transform=transform, augment=augment)


def zeros(_: dict[str, Any]) -> dict[str, Any]:
    return {"x": torch.zeros(1, 4, 4)}


def epoch(batches: Batches, number: int) -> dict[int, torch.Tensor]:
    """What was read of each row."""
    batches.order.epoch = number
    return {int(row): x for batch in batches for row, x in zip(batch.rows, batch.inputs["x"], strict=True)}


def the_same(ours: dict[int, torch.Tensor], theirs: dict[int, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[row], theirs[row]) for row in ours)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_augmentation_depends_on_epoch_and_row_only(workers: int) -> None:
    given = samples(5, zeros, Compose([RandGaussianNoised("x", prob=1.0)]))
    alone, other_order = loader(given, 2, seed=0), loader(given, 2, seed=7)
    with loader(given, 2, workers, seed=0) as batches:
        for number in (1, 2, 1, 3):  # workers that stay have begun in another epoch
            read = epoch(batches, number)
            assert the_same(read, epoch(alone, number))
            assert the_same(read, epoch(other_order, number))
            assert not any(torch.equal(x, epoch(alone, number + 1)[row]) for row, x in read.items())


def test_what_a_transform_draws_by_itself_depends_on_the_batch_only() -> None:
    def draw(_: dict[str, Any]) -> dict[str, Any]:
        return {"x": torch.tensor([torch.rand(()), np.random.random(), random.random()])}  # noqa: NPY002

    given = samples(9, draw)
    torch.manual_seed(3)
    drawn = torch.rand(2)
    torch.manual_seed(3)
    none = loader(given, 2, 0, seed=0)
    alone = epoch(none, 1)
    assert torch.equal(torch.rand(2), drawn)  # what a network draws does not depend on who reads
    with loader(given, 2, 1, seed=0) as one, loader(given, 2, 2, seed=0) as two:
        first = epoch(one, 1)
        again = epoch(one, 2)
        assert the_same(epoch(two, 2), again)  # as after --resume
        assert the_same(epoch(two, 1), first)
        assert the_same(alone, first)
        assert not the_same(first, again)


def test_workers_stay_and_end_with_the_loader() -> None:
    with loader(samples(6, lambda _: {"x": torch.tensor([float(os.getpid())])}), 2, 2, seed=0) as batches:
        first, second = ({float(x) for x in epoch(batches, number).values()} for number in (1, 2))
        assert first == second
        assert len(first) == 2
    assert not multiprocessing.active_children()


def test_there_are_no_more_workers_than_batches() -> None:
    with loader(samples(3, zeros), 2, 16, seed=0) as batches:
        assert epoch(batches, 1).keys() == {0, 1, 2}
        assert len(multiprocessing.active_children()) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_a_mistake_that_a_transform_finds_is_said_as_without_workers(workers: int) -> None:
    def refuse(record: dict[str, Any]) -> dict[str, Any]:
        if record["item"] == 3:
            raise SourceError("scan.nii is empty: all its values are the same")
        return zeros(record)

    with pytest.raises(Exception, match=r"scan\.nii|applying transform") as caught:  # noqa: SIM117
        with loader(samples(6, refuse), 2, workers) as batches:
            list(batches)
    mistake = caught.value if workers else caught.value.__cause__
    assert type(mistake) is SourceError
    assert str(mistake) == "scan.nii is empty: all its values are the same"
    assert not multiprocessing.active_children()


def test_a_bug_in_a_transform_keeps_its_traceback() -> None:
    def fail(_: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError

    with pytest.raises(RuntimeError, match="in fail\n") as caught, loader(samples(6, fail), 2, 2) as batches:
        list(batches)
    assert not isinstance(caught.value, UserError)


def end(number: int) -> Read:
    def read(record: dict[str, Any]) -> dict[str, Any]:
        if record["item"] == 5:
            os.kill(os.getpid(), number)
        return zeros(record)

    return read


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # multiprocessing's, to a worker that is gone
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, "killed, most likely for want of memory; take fewer training.workers"),
        (signal.SIGSEGV, r"signal 11 \(SIGSEGV\)"),
        (signal.SIGBUS, "/dev/shm"),
    ],
)
def test_a_worker_that_ends_is_said_in_a_line(number: int, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:  # noqa: SIM117
        with loader(samples(12, end(number)), 2, 2) as batches:
            list(batches)
    assert "\n" not in str(caught.value)
    assert not multiprocessing.active_children()
    del caught
    gc.collect()


@pytest.mark.parametrize(
    ("what", "least", "words"),
    [(resource.RLIMIT_FSIZE, 2**16, r"/dev/shm.*--shm-size"), (resource.RLIMIT_NOFILE, 3, "ulimit -n")],
)
def test_what_shared_memory_lacks_is_said_in_a_line(what: int, least: int, words: str) -> None:
    """By limits, which files in /dev/shm keep to."""

    def large(_: dict[str, Any]) -> dict[str, Any]:
        resource.setrlimit(what, (least, resource.getrlimit(what)[1]))
        return {"x": torch.zeros(2**16)}

    with pytest.raises(UserError, match=words) as caught:  # noqa: SIM117
        with loader(samples(4, large), 2, 2) as batches:
            list(batches)
    assert "\n" not in str(caught.value)


def test_no_memory_in_a_worker_is_said_in_a_line() -> None:
    def greedy(_: dict[str, Any]) -> dict[str, Any]:
        return {"x": torch.zeros(2**60, dtype=torch.uint8)}

    with pytest.raises(UserError, match="out of memory in a process that reads") as caught:  # noqa: SIM117
        with loader(samples(4, greedy), 2, 2) as batches:
            list(batches)
    assert "\n" not in str(caught.value)


def test_workers_leave_ctrl_c_to_who_started_them(tmp_path: Path) -> None:
    def interrupted(record: dict[str, Any]) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        (tmp_path / str(record["item"])).touch()
        return zeros(record)

    with loader(samples(4, interrupted), 2, 2) as batches:
        assert len(epoch(batches, 1)) == 4
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("first", ["this", "workers"])
def test_a_signal_to_all_stops_as_a_signal_to_one(first: str) -> None:
    """As Slurm sends it: workers end while the process that started them is being stopped, or just before."""

    def stop() -> None:
        for worker in multiprocessing.active_children():
            os.kill(worker.pid or 0, signal.SIGTERM)
            worker.join()

    def interrupted() -> None:
        with loader(samples(40, zeros), 2, 2) as batches:
            next(iter(batches))
            try:
                if first == "workers":
                    stop()
                raise KeyboardInterrupt
            finally:
                stop()

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not multiprocessing.active_children()
