"""Processes that work side by side: real ones, whose tasks succeed, are refused, crash or are killed."""

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.console import Progress
from i2m2_med.engine.training.on_ray import train_on_ray
from i2m2_med.engine.training.side_by_side import Outcome, workers
from i2m2_med.engine.training.units import Assignment, Unit, share_of, trainings, units, waves
from i2m2_med.errors import UserError
from i2m2_med.files import write_json
from i2m2_med.parts import WHOLE, Part


class Empty(Assignment):
    """Opens nothing."""

    def open(self, progress: Progress) -> Any:
        progress.say("opened")
        return "experiment"


def judge(run: Any) -> Any:
    return run


def assignment(folder: Path, *more: str) -> Empty:
    run, values = load_config("mimic3_demo", [f"source.root={folder}", *more])
    return Empty(run, values, folder, ("train",), folder, "", "", judge)


@dataclass(frozen=True)
class Doing:
    """A task that ends as it is called."""

    name: str

    def run(self, experiment: Any) -> Any:
        assert experiment == "experiment"
        if "mistake" in self.name:
            raise UserError("line one\nline two")
        if "bug" in self.name:
            raise ValueError("not what was meant")
        if "killed" in self.name:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()


def done(folder: Path, names: Iterable[str], outcomes: dict[str, Outcome] | None = None) -> dict[str, Outcome]:
    waiting, outcomes = iter([Doing(name) for name in names]), {} if outcomes is None else outcomes
    with workers(assignment(folder), 2, Progress()) as pool:
        pool.run(lambda: next(waiting, None), lambda task, outcome: outcomes.update({task.name: outcome}))
        assert all(worker.process.is_alive() for worker in pool.running.values())
        processes = [worker.process for worker in pool.running.values()]
    assert not any(process.is_alive() for process in processes)
    return outcomes


@pytest.mark.slow
def test_one_that_fails_stops_no_other_and_a_process_does_one_after_the_other(tmp_path: Path) -> None:
    outcomes = done(tmp_path, ["first", "a mistake", "second", "killed", "third", "fourth", "fifth"])
    assert len(outcomes) == 7
    assert outcomes["a mistake"] == Outcome(error="line one\nline two")
    assert outcomes["killed"].died
    assert "killed, most likely for want of memory (fewer --jobs)" in outcomes["killed"].error
    values = [outcomes[name].value for name in ("first", "second", "third", "fourth", "fifth")]
    assert os.getpid() not in values
    assert 1 <= len(set(values)) <= 3  # two processes, and one in the place of the one that was killed


@pytest.mark.slow
def test_bugs_stop_no_other_and_end_with_their_tracebacks(tmp_path: Path) -> None:
    outcomes = dict[str, Outcome]()
    with pytest.raises(RuntimeError, match=r"(?s)bug: Traceback.*not what was meant") as caught:
        done(tmp_path, ["bug", "first", "another bug", "second", "third"], outcomes)
    assert str(caught.value).count("bug: Traceback") == 2
    assert len(outcomes) == 5
    assert all(outcomes[name].value for name in ("first", "second", "third"))


def test_parts_share_all_units_and_folds_are_units(tmp_path: Path) -> None:
    plain, folded = assignment(tmp_path, "seeds=[0,1]").run, assignment(tmp_path, "split.folds=3").run
    assert units(plain) == trainings(plain)
    assert len(units(folded)) == 3 * len(trainings(folded))
    for run in (plain, folded):
        shared = [unit for index in range(4) for unit in share_of(run, Part(index, 4))]
        assert sorted(shared, key=str) == sorted(units(run), key=str)
    assert Unit("i2m2", 0, 2).name == "i2m2, seed 0, fold 2"


def test_folds_are_pooled_by_the_whole_once_all_of_them_are_done(tmp_path: Path) -> None:
    given = assignment(tmp_path, "split.folds=2")
    first, *others = trainings(given.run)
    for fold in (0, 1):
        write_json(tmp_path / f"fold-{fold}" / f"{first.paradigm}-0" / "note.json", {"done": True})
    to_train, to_pool = waves(given, WHOLE)
    assert to_pool == [first]
    assert {(unit.paradigm, unit.fold) for unit in to_train} == {
        (one.paradigm, fold) for one in others for fold in (0, 1)
    }
    sizes = [len(given.run.paradigms[unit.paradigm].experts) for unit in to_train]
    assert sizes == sorted(sizes, reverse=True)
    assert len(list(waves(given, Part(0, 2)))) == 1


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UserError, match=r"--engine ray needs Ray: install it .*\[ray\]"):
        train_on_ray(assignment(tmp_path), WHOLE, 2, Progress())
