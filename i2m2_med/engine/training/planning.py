"""A plan: what `train` and `compare` of a prepared config take on this machine, from a rehearsal of its stages and of one run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from i2m2_med.config.run import RunConfig
from i2m2_med.config.yaml_source import Values
from i2m2_med.engine.prediction.build import build_model
from i2m2_med.engine.prediction.cost import expert_flops
from i2m2_med.engine.tracking.store import sqlite_file, store_uri
from i2m2_med.engine.training.estimate import Beside, Counts, Estimate, Reading, Spent, StageCost, Work, estimate, held
from i2m2_med.engine.training.experiment import Experiment, Trained
from i2m2_med.engine.training.rehearsal import (
    MOST_JUDGED,
    Clock,
    Rehearsed,
    counted,
    measure_reading,
    measure_stage,
    most_of,
    open_rehearsal,
    pretended,
    rehearse,
    spent_on,
)
from i2m2_med.engine.training.stage_set import heard_rows, some
from i2m2_med.engine.training.stages import ALONE, PlannedStage, planned_stages, settings_alone
from i2m2_med.errors import UserError
from i2m2_med.memory_limit import peak_memory
from i2m2_med.predictions import Judge
from i2m2_med.samples.cohort import Cohort
from i2m2_med.workspace import workspace

Compare = Callable[[Experiment, Sequence[Trained]], object]
"""Writes and records the comparison of what was trained."""


@dataclass(frozen=True, kw_only=True)
class ExpertCost:
    """An expert by itself."""

    reads: tuple[str, ...]
    parameters: int
    flops: int | None
    """Of a forward pass on one sample; None where no sample holds what every expert reads."""
    activations: int
    """Bytes that a batch of it keeps for the backward pass."""
    batch: int
    alone: StageCost


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was found."""

    counts: Counts
    works: dict[str, Work]
    """By command, what it trains."""
    experts: dict[str, ExpertCost]
    costs: dict[str, StageCost]
    """By key of the stage."""
    steps: dict[str, Spent | None]
    """By setting, a step of the stage that keeps most: as configured (""), with what needs less memory, and in `bf16`; None where that fails."""
    reading: Reading
    beside: Beside
    memory: int
    """Bytes of the process at its largest."""
    cached: int
    """Bytes of it that are samples, where the config keeps them in memory."""

    def of(self, command: str) -> Estimate:
        """What a command takes."""
        return estimate(self.works[command], self.costs, self.counts, self.reading, self.beside)

    @property
    def activations(self) -> dict[str, int]:
        """By expert."""
        return {name: one.activations for name, one in self.experts.items()}


def store_is_there(run: RunConfig) -> bool:
    """Whether the workspace has a tracking store already: making one takes seconds."""
    database = sqlite_file(store_uri(workspace(), run.tracking.uri))
    return database is None or database.exists()


def make_plan(
    run: RunConfig,
    values: Values,
    cohort: Cohort,
    judge: Judge,
    compare: Compare,
    kept: dict[str, int],
    place: Path,
    *,
    store_there: bool,
) -> Plan:
    """Rehearse `run` on its prepared data (of a cross-validation: `cohort` is the first fold's). kept: `activations` of it."""
    started = Spent(time.time() - psutil.Process().create_time(), time.process_time())
    single = run.of_fold(0) if run.split.cross_validated else run
    counts, works = counted(cohort), works_of(run, cohort)
    reading = measure_reading(cohort, run.training.batch)
    cached = int(reading.kept * sum(counts) * works["compare"].folds)
    rehearsed = sum(min(len(cohort.samples(split)), most_of(split, run.training.batch)) for split in cohort.splits)
    alone = {name: PlannedStage((name,), settings_alone(run, run.training, name), ALONE) for name in run.experts}
    measured = {stage.key: stage for stage in [*works["compare"].distinct, *alone.values()]}
    costs = {
        key: measure_stage(single, cohort, stage, 0, place).read_beside(
            reading.again.times(stage.settings.batch), stage.settings.workers
        )
        for key, stage in measured.items()
    }
    beside = measure_beside(single, values, cohort, judge, compare, counts, started, place, store_there=store_there)
    beside = replace(beside, run_bytes=max(0, beside.run_bytes - works["train"].weights[run.paradigm]))
    # before other ways are tried: some take more than any command does
    taken = peak_memory() - int(reading.kept * rehearsed)
    steps = measure_ways(single, cohort, works["compare"].distinct, kept, costs, place)
    return Plan(
        counts=counts,
        works=works,
        experts=expert_costs(run, cohort, alone, costs, kept),
        costs=costs,
        steps=steps,
        reading=reading,
        beside=beside,
        memory=taken + cached,
        cached=cached,
    )


def expert_costs(
    run: RunConfig,
    cohort: Cohort,
    alone: dict[str, PlannedStage],
    costs: dict[str, StageCost],
    kept: dict[str, int],
) -> dict[str, ExpertCost]:
    """Return each expert by itself. alone: the stage that trains only it."""
    heard = heard_rows(run, cohort)
    flops = expert_flops(
        build_model(run, tuple(run.experts), cohort.labels, 0),
        some(cohort.samples("train"), len(heard), heard),
        "cpu",
    )
    return {
        name: ExpertCost(
            reads=run.experts[name].reads,
            parameters=costs[stage.key].parameters,
            flops=flops.get(name),
            activations=kept[name],
            batch=stage.settings.batch,
            alone=costs[stage.key],
        )
        for name, stage in alone.items()
    }


def works_of(run: RunConfig, cohort: Cohort) -> dict[str, Work]:
    """Return what `train` and `compare` train."""
    stages: dict[str, list[PlannedStage]] = {}
    weights: dict[str, int] = {}
    for name, paradigm in run.paradigms.items():
        model = build_model(run, paradigm.experts, cohort.labels, 0, paradigm.combiner)
        learns = any(one.requires_grad for one in model.combiner.parameters())
        stages[name] = planned_stages(run, name, learns)
        weights[name] = 2 * sum(one.nbytes for one in model.parameters())
    folds, seeds = run.split.folds or 1, len(run.seeds)
    return {
        "train": Work(
            stages={run.paradigm: stages[run.paradigm]},
            weights={run.paradigm: weights[run.paradigm]},
            seeds=seeds,
            folds=folds,
        ),
        "compare": Work(stages=stages, weights=weights, seeds=seeds, folds=folds),
    }


def measure_ways(
    run: RunConfig,
    cohort: Cohort,
    stages: Sequence[PlannedStage],
    kept: dict[str, int],
    costs: dict[str, StageCost],
    place: Path,
) -> dict[str, Spent | None]:
    """Return a step of the stage that keeps most, as configured, in the ways of training that need less memory, and in `bf16`."""
    most = max(stages, key=lambda stage: held({name: kept[name] for name in stage.experts}, stage.settings))
    steps: dict[str, Spent | None] = {"": costs[most.key].step}
    ways = {"memory": "one_expert", "accumulate": 2, "precision": "bf16"}
    senseless = {"memory": len(most.experts) < 2, "accumulate": most.settings.batch < 2, "precision": False}
    for name, value in ways.items():
        if senseless[name] or getattr(most.settings, name) == value:
            continue
        settings = most.settings.model_copy(update={name: value})
        other = PlannedStage(most.experts, settings, most.combiner, most.frozen, most.after)
        try:
            steps[f"{name}={value}"] = measure_stage(run, cohort, other, 0, place / name).step
        except UserError:  # in 16 bits a training may diverge that does not in 32
            steps[f"{name}={value}"] = None
    return steps


def measure_beside(
    run: RunConfig,
    values: Values,
    cohort: Cohort,
    judge: Judge,
    compare: Compare,
    counts: Counts,
    started: Spent,
    place: Path,
    *,
    store_there: bool,
) -> Beside:
    """Return what a command takes beside training. started: from its start until its data were open."""

    def rehearsed(experiment: Experiment) -> Rehearsed:
        found = rehearse(experiment, run.paradigm)
        others = pretended(found.made, run)
        compared = spent_on(lambda: compare(experiment, others)) if len(others) > 1 else Spent()
        return replace(found, comparison=compared.times(1 / len(others)))

    clock = Clock()
    experiment = open_rehearsal(run, values, cohort, judge, place)
    store = clock.lap()
    found, judged = rehearsed(experiment), counts.valid + counts.test
    if found.judged < judged:
        fewer = open_rehearsal(run, values, cohort, judge, place / "fewer", MOST_JUDGED // 4)
        found = found.grown(rehearsed(fewer), judged)
    return Beside(
        start=started + found.first + (Spent() if store_there else store),
        run=found.run,
        fold=found.fold,
        comparison=found.comparison,
        run_bytes=found.left,
    )
