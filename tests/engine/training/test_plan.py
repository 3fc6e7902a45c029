"""A plan's arithmetic: epochs, seeds and folds multiply; stages that paradigms share count once; what keeps less is said to keep less."""

from dataclasses import replace
from pathlib import Path

import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.config.run import RunConfig
from i2m2_med.engine.training.estimate import (
    Beside,
    Counts,
    Estimate,
    Reading,
    Spent,
    StageCost,
    Work,
    estimate,
    fitting,
    held,
    side_by_side,
)
from i2m2_med.engine.training.experiment import Trained
from i2m2_med.engine.training.plan_values import memory_values
from i2m2_med.engine.training.rehearsal import Rehearsed
from i2m2_med.engine.training.stages import distinct, planned_stages
from i2m2_med.memory_limit import machine_memory, peak_memory

COUNTS = Counts(700, 150, 150)
READING = Reading(first=Spent(0.02, 0.01), again=Spent(0.001, 0.001), bytes_first=900.0, bytes_again=100.0, kept=50.0)
BESIDE = Beside(
    start=Spent(9.0, 8.0), run=Spent(3.0, 2.0), fold=Spent(1.0, 1.0), comparison=Spent(1.0, 1.0), run_bytes=1_000
)
COST = StageCost(
    parameters=10, step=Spent(0.5, 0.4), valid=Spent(0.01, 0.01), end=Spent(0.1, 0.1), state=160, checkpoint=200
)
ACTIVATIONS = {"a": 100, "b": 300, "joint": 200}


def run_of(*changes: str) -> RunConfig:
    return load_config("mimic3_demo", ("source.root=nowhere", *changes))[0]


def planned(run: RunConfig) -> Estimate:
    stages = {name: planned_stages(run, name) for name in run.paradigms}
    weights = dict.fromkeys(stages, 500)
    work = Work(stages=stages, weights=weights, seeds=len(run.seeds), folds=run.split.folds or 1)
    return estimate(work, {stage.key: COST for stage in work.distinct}, COUNTS, READING, BESIDE)


def test_twice_the_epochs_train_twice_as_long_and_start_no_later() -> None:
    once, twice = planned(run_of("training.epochs=5")), planned(run_of("training.epochs=10"))
    assert twice.training.cpu == pytest.approx(2 * once.training.cpu)
    assert (twice.once, twice.runs, twice.disk) == (once.once, once.runs, once.disk)


def test_three_seeds_train_three_times_as_long_and_leave_three_times_as_much() -> None:
    one, three = planned(run_of("seeds=[0]")), planned(run_of("seeds=[0,1,2]"))
    for name in ("training", "runs"):
        assert getattr(three, name).seconds == pytest.approx(3 * getattr(one, name).seconds)
    assert three.disk == 3 * one.disk
    assert three.reading == one.reading  # a cache is filled once


def test_folds_multiply_training_and_have_a_run_above_them() -> None:
    one, folds = planned(run_of()), planned(run_of("split.folds=4"))
    assert folds.training.seconds == pytest.approx(4 * one.training.seconds)
    assert folds.runs.seconds == pytest.approx(one.runs.seconds * (1 + 4 / 3))  # folds have no report of their own


def test_samples_on_the_disk_are_there_once_for_all_folds() -> None:
    run = run_of("split.folds=4")
    stages = {name: planned_stages(run, name) for name in run.paradigms}
    work = Work(stages=stages, weights=dict.fromkeys(stages, 500), seeds=1, folds=4)
    costs = {stage.key: COST for stage in work.distinct}
    memory = estimate(work, costs, COUNTS, READING, BESIDE)
    disk = estimate(work, costs, COUNTS, replace(READING, stored=7.0), BESIDE)
    assert disk.disk == memory.disk + 7 * sum(COUNTS)
    assert memory.reading.seconds == pytest.approx(4 * disk.reading.seconds)


def test_what_does_not_grow_with_the_samples_is_not_multiplied_by_them(tmp_path: Path) -> None:
    made = Trained(run_id="", paradigm="", seed=0, model=tmp_path, rows=[], cost={})

    def took(judged: int, seconds: float, left: int) -> Rehearsed:
        each = Spent(seconds, seconds)
        return Rehearsed(made=made, judged=judged, first=each, run=each, fold=each, left=left, comparison=each)

    found = took(4_000, 5.0 + 4.0, 100 + 40).grown(took(1_000, 5.0 + 1.0, 100 + 10), 60_000)
    assert (found.judged, found.left) == (60_000, 700)
    assert [one.cpu for one in (found.run, found.fold, found.comparison)] == pytest.approx([65.0] * 3)
    assert found.first.cpu == 9.0
    noisy = took(4_000, 5.0, 100).grown(took(1_000, 6.0, 110), 60_000)
    assert (noisy.run.cpu, noisy.left) == (5.0, 100)


def test_an_epoch_is_its_steps_its_validation_and_its_checkpoint() -> None:
    assert COST.epoch(COUNTS, 70).seconds == pytest.approx(10 * 0.5 + 150 * 0.01 + 0.1)
    assert COST.epoch(COUNTS, 7_000).seconds == pytest.approx(
        0.5 + 150 * 0.01 + 0.1
    )  # one step, however large a batch may be


def test_what_paradigms_share_is_trained_once() -> None:
    run = run_of("training.warm_start=separate")
    stages = [stage for name in run.paradigms for stage in planned_stages(run, name)]
    alone = {stage.experts[0] for stage in distinct(stages) if not stage.after}
    assert len([stage for stage in distinct(stages) if not stage.after]) == len(alone) == len(run.experts)
    assert len(stages) > len(distinct(stages))


def test_workers_read_while_it_is_computed() -> None:
    assert COST.read_beside(Spent(0.3, 0.3), 0) == COST
    assert COST.read_beside(Spent(0.3, 0.3), 2).step.seconds == pytest.approx(0.2)
    assert COST.read_beside(Spent(0.48, 0.4), 2).step.seconds == pytest.approx(
        0.24
    )  # then reading is what it waits for
    assert COST.read_beside(Spent(0.3, 0.3), 2).step.cpu == COST.step.cpu


def test_several_learning_rates_are_all_trained() -> None:
    one, two = planned(run_of("training.learning_rate=0.1")), planned(run_of("training.learning_rate=[0.1,0.2]"))
    assert two.training.seconds == pytest.approx(2 * one.training.seconds)


def test_stacked_experts_are_trained_alone_and_nothing_together() -> None:
    run = run_of("training.mode=stacked")
    assert {len(stage.experts) for name in run.paradigms for stage in planned_stages(run, name)} == {1}


def test_one_expert_at_a_time_keeps_the_largest_and_parts_keep_a_part_of_it() -> None:
    training = run_of("training.batch=8").training
    changed = training.model_copy(update={"memory": "one_expert"})
    assert held(ACTIVATIONS, training) == 600
    assert held(ACTIVATIONS, changed) == 300
    assert held(ACTIVATIONS, changed.model_copy(update={"accumulate": 4})) == 75


@pytest.mark.parametrize(
    ("limit", "changes"),
    [(660, {}), (400, {"memory": "one_expert"}), (199, {"accumulate": 4}), (60, None)],
)
def test_the_mildest_setting_that_fits_is_named(limit: int, changes: dict[str, object] | None) -> None:
    assert fitting(ACTIVATIONS, run_of("training.batch=8").training, 50, limit) == changes


def test_what_makes_it_fit_is_not_refused_with_compiled_networks() -> None:
    compiled = run_of("training.batch=8", "training.compile=true").training
    assert fitting(ACTIVATIONS, compiled, 50, 400) == {"memory": "one_expert", "compile": "false"}
    assert fitting(ACTIVATIONS, compiled, 50, 660) == {}


def test_two_jobs_halve_what_can_be_shared_at_best() -> None:
    whole = planned(run_of())
    assert 0.5 < side_by_side(whole, 2) < 1 == side_by_side(whole, 1)


def test_a_container_has_the_memory_that_its_groups_allow(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "own").write_text("0::/a/b\n", encoding="utf-8")
    whole = machine_memory(tmp_path, tmp_path / "own")
    (tmp_path / "a" / "b" / "memory.max").write_text("max\n", encoding="utf-8")
    assert machine_memory(tmp_path, tmp_path / "own") == whole
    (tmp_path / "a" / "memory.max").write_text("1048576\n", encoding="utf-8")
    assert machine_memory(tmp_path, tmp_path / "own") == 1048576
    (tmp_path / "memory" / "c").mkdir(parents=True)
    (tmp_path / "memory" / "c" / "memory.limit_in_bytes").write_text("4096\n", encoding="utf-8")
    (tmp_path / "own").write_text("4:cpu,cpuacct:/c\n5:memory:/c\n", encoding="utf-8")
    assert machine_memory(tmp_path, tmp_path / "own") == 4096


def test_what_a_process_held_counts() -> None:
    before = peak_memory()
    held_now = bytearray(b"x") * (before + 2**24)
    assert peak_memory() > before + 2**23
    del held_now


MEBI = 2**20


@pytest.mark.parametrize(
    ("rest", "cached", "changes"),
    [
        (300, 0, {}),
        (700, 0, {"training.memory": "one_expert"}),
        (860, 0, {"training.accumulate": 8}),
        (950, 0, None),  # the process by itself
        (950, 600, {"modalities.cache": "disk"}),
        (1_300, 600, {"modalities.cache": "disk", "training.memory": "one_expert"}),
        (1_600, 600, None),
    ],
)
def test_what_no_setting_of_training_mends_is_told_from_what_one_does(
    rest: int, cached: int, changes: dict[str, object] | None
) -> None:
    kept = {name: size * MEBI for name, size in {"a": 100, "b": 200, "joint": 100}.items()}
    run = run_of("training.batch=8")
    found = memory_values(run, kept, rest * MEBI, 1_000 * MEBI, cached * MEBI)
    assert found["makes_it_fit"] == changes
    assert (found["least"] > found["usable"]) is (changes is None)
