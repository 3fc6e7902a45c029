"""What training will take, from what a few steps of it took: arithmetic only (`rehearsal.py` measures)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from i2m2_med.config.training import Training
from i2m2_med.engine.training.stages import PlannedStage, distinct


class Spent(NamedTuple):
    """Time on the clock, and CPU time of the process, which other work on the machine lengthens less."""

    seconds: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":  # pyright: ignore[reportIncompatibleMethodOverride]
        return Spent(self.seconds + other.seconds, self.cpu + other.cpu)

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(max(0.0, self.seconds - other.seconds), max(0.0, self.cpu - other.cpu))

    def times(self, factor: float | int) -> "Spent":
        """So many times as much."""
        return Spent(self.seconds * factor, self.cpu * factor)


class Counts(NamedTuple):
    """Samples of each split; test: of all that is predicted beside validation."""

    train: int
    valid: int
    test: int


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """What a stage takes, as measured on a few batches."""

    parameters: int
    step: Spent
    """A step on a whole batch, its samples read (from memory or disk where a cache holds them)."""
    valid: Spent
    """Validating one sample."""
    end: Spent
    """Writing an epoch's checkpoint."""
    state: int
    """Bytes of weights, gradients and the optimizer's numbers."""
    checkpoint: int
    """Bytes that it leaves in the workspace."""

    def epoch(self, counts: Counts, batch: int) -> Spent:
        """An epoch, validation included."""
        return self.step.times(counts.train / min(batch, counts.train)) + self.valid.times(counts.valid) + self.end

    def whole(self, stage: PlannedStage, counts: Counts) -> Spent:
        """All of its epochs; early stopping may save some."""
        return self.epoch(counts, stage.settings.batch).times(stage.epochs)

    def read_beside(self, reading: Spent, workers: int) -> "StageCost":
        """The same where other processes read. reading: what a batch's samples take of a step; no workers: nothing changes."""
        if not workers:
            return self
        computed = max(0.0, self.step.seconds - reading.seconds)
        return replace(self, step=Spent(max(computed, reading.seconds / workers), self.step.cpu))


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What reading one sample takes."""

    first: Spent
    again: Spent
    """A second time, from the cache where the config has one."""
    bytes_first: float
    bytes_again: float
    kept: float
    """Bytes of it in memory, where the config keeps samples there."""
    stored: float = 0.0
    """Bytes of it on the disk, where the config keeps samples there: once for all folds."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What is not training."""

    start: Spent
    """From the command to the first run: imports, data opened, the store made."""
    run: Spent
    """Predicting, calibrating, judging and recording one run, its report drawn."""
    fold: Spent
    """The same of one fold of a cross-validation, which has no report of its own; nothing where there are none."""
    comparison: Spent
    """Comparing and recording, for one paradigm with one seed."""
    run_bytes: int
    """What a run leaves in the workspace beside its stages' checkpoints and its model's weights."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a command trains: stages by paradigm, so often each."""

    stages: Mapping[str, Sequence[PlannedStage]]
    weights: Mapping[str, int]
    """Bytes that a run of each paradigm leaves of its model: in its folder, and in the store."""
    seeds: int
    folds: int = 1

    @property
    def distinct(self) -> list[PlannedStage]:
        """Stages that are trained, once for each seed and fold."""
        return distinct([stage for stages in self.stages.values() for stage in stages])

    @property
    def whole_runs(self) -> int:
        """Runs that are recorded with a report; a cross-validation's stands above its folds."""
        return len(self.stages) * self.seeds

    @property
    def fold_runs(self) -> int:
        """Runs of single folds."""
        return self.whole_runs * self.folds if self.folds > 1 else 0

    @property
    def runs(self) -> int:
        """Runs that are recorded."""
        return self.whole_runs + self.fold_runs


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a command takes."""

    training: Spent
    reading: Spent
    """Beyond what epochs read: samples that a cache is filled with."""
    runs: Spent
    """Predicting, judging and recording."""
    once: Spent
    """Starting, and comparing."""
    bytes_read: float
    disk: int

    @property
    def whole(self) -> Spent:
        """From the command to its last line."""
        return self.training + self.reading + self.runs + self.once


def estimate(work: Work, costs: Mapping[str, StageCost], counts: Counts, reading: Reading, beside: Beside) -> Estimate:
    """Return what `work` takes. costs: by key of the stage."""
    often, samples = work.seeds * work.folds, sum(counts)
    training, epochs = Spent(), 0
    for stage in work.distinct:
        training += costs[stage.key].whole(stage, counts).times(often)
        epochs += stage.epochs * often
    compared, filled = work.whole_runs, samples * (1 if reading.stored else work.folds)
    predicted = epochs * (counts.train + counts.valid) + work.runs * (counts.valid + counts.test)
    models = sum(work.weights.values()) * work.runs // len(work.stages)
    return Estimate(
        training=training,
        reading=(reading.first - reading.again).times(filled),
        runs=beside.run.times(work.whole_runs) + beside.fold.times(work.fold_runs),
        once=beside.start + beside.comparison.times(compared if compared > 1 else 0),
        bytes_read=(reading.bytes_first - reading.bytes_again) * filled + reading.bytes_again * predicted,
        disk=sum(costs[stage.key].checkpoint for stage in work.distinct) * often
        + beside.run_bytes * work.runs
        + models
        + round(reading.stored * samples),
    )


def held(activations: Mapping[str, int], training: Training) -> int:
    """Return the bytes that a step keeps for its backward pass. activations: of each expert on a whole batch.

    All experts' at a time; with `memory: one_expert` or `accumulate` one expert's on one part (`memory.py`).
    """
    if training.memory == "one_expert" or training.accumulate > 1:
        return -(-max(activations.values()) // training.accumulate)
    return sum(activations.values())


def fitting(
    activations: Mapping[str, int], training: Training, rest: int, limit: float | int
) -> dict[str, int | str] | None:
    """Return the settings of training that make a step fit, the mildest first; {} where it fits as it is, None where none does.

    rest: bytes beside activations.
    """
    tried: list[dict[str, int | str]] = [{}, {"memory": "one_expert"}]
    parts = 2
    while parts <= training.batch:
        tried.append({"accumulate": parts})
        parts *= 2
    for changes in tried:
        if rest + held(activations, training.model_copy(update=changes)) <= limit:
            return {**changes, "compile": "false"} if changes and training.compile else changes  # neither goes with it
    return None


def side_by_side(whole: Estimate, jobs: int) -> float:
    """Return what part of a comparison's time is left, at best, where so many trainings run at a time."""
    shared = whole.whole - whole.once
    return (whole.once.seconds + shared.seconds / jobs) / whole.whole.seconds
