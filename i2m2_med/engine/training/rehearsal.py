"""A few steps of training and one run of a config's own paradigms, in a workspace that is thrown away: what they take is what a plan is made of."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
import torch

from i2m2_med.config.run import RunConfig
from i2m2_med.config.yaml_source import Values
from i2m2_med.console import Progress
from i2m2_med.engine.prediction.build import build_model, give_shares
from i2m2_med.engine.prediction.seed import device_for
from i2m2_med.engine.tracking.store import ensure_store
from i2m2_med.engine.training.estimate import Counts, Reading, Spent, StageCost
from i2m2_med.engine.training.experiment import Experiment, Trained
from i2m2_med.engine.training.fit import fit
from i2m2_med.engine.training.loss import learnt_prior
from i2m2_med.engine.training.selection import validation_metrics
from i2m2_med.engine.training.stage_set import heard_rows, some
from i2m2_med.engine.training.stages import PlannedStage
from i2m2_med.model import I2M2
from i2m2_med.predictions import Judge
from i2m2_med.samples.cohort import Cohort
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.disk_cache import DiskCache

FEWEST_BATCHES = 2
MOST_BATCHES = 64
SECONDS = 2.0
"""Of an epoch of a rehearsed stage, where there are samples enough."""
MOST_VALID, MOST_JUDGED = 1_000, 4_000
"""Samples of a split that are validated, and that are predicted and judged, at most."""


class Clock:
    """Time since it was made, or asked for the last time."""

    def __init__(self) -> None:
        self.lap()

    def lap(self) -> Spent:
        """Return what was spent since the last call."""
        before: tuple[float, float] = getattr(self, "at", (0.0, 0.0))
        self.at = time.perf_counter(), time.process_time()
        return Spent(self.at[0] - before[0], self.at[1] - before[1])


def bytes_read() -> int:
    """Return what this process has read so far, from files that are not mapped into memory; 0 where the system does not count it."""
    counters = getattr(psutil.Process(), "io_counters", None)
    return int(counters().read_chars) if counters else 0


def counted(cohort: Cohort) -> Counts:
    """Return how many samples each split has."""
    sizes = {split: len(cohort.samples(split)) for split in cohort.splits}
    return Counts(sizes["train"], sizes["valid"], sum(sizes.values()) - sizes["train"] - sizes["valid"])


def measure_reading(cohort: Cohort, batch: int) -> Reading:
    """Return what reading training samples takes, the first time and again."""
    part = some(cohort.samples("train"), FEWEST_BATCHES * batch)
    part.store = part.store and DiskCache(part.store.folder / "measured", part.store.made)
    stored = cohort.samples("train").arrays.values()
    mapped = sum(array[:1].nbytes for array in stored if isinstance(array, np.memmap))

    def read() -> tuple[Spent, float]:
        clock, before = Clock(), bytes_read()
        for rows in np.array_split(np.arange(len(part)), -(-len(part) // batch)):
            part.__getitems__(rows.tolist())
        return clock.lap().times(1 / len(part)), (bytes_read() - before) / len(part) + mapped

    (first, bytes_first), (again, bytes_again) = read(), read()
    cached = part.cached or {}
    kept = sum(torch.as_tensor(one).nbytes for sample in cached.values() for one in sample.values())
    return Reading(
        first=first,
        again=again,
        bytes_first=bytes_first,
        bytes_again=bytes_again,
        kept=kept / len(part),
        stored=bytes_in(part.store.folder) / len(part) if part.store else 0.0,
    )


def measure_stage(run: RunConfig, cohort: Cohort, stage: PlannedStage, seed: int, folder: Path) -> StageCost:
    """Train a stage for a few short epochs in `folder`: on two batches, then on as many as take about `SECONDS`."""
    gc.collect()  # an engine and what it reads hold each other: the last stage's samples would pile up beside these
    device, batch = device_for(stage.settings.device), stage.settings.batch
    train, valid = cohort.samples("train"), some(cohort.samples("valid"), MOST_VALID)
    model = build_model(run, stage.experts, cohort.labels, seed, stage.combiner)
    give_shares(model, learnt_prior(train, stage.settings))
    for name in stage.frozen:
        model.experts[name].requires_grad_(False)
    part, place = some(train, FEWEST_BATCHES * batch), folder / stage.key[:12]
    epoch = short_epoch(run, model, part, valid, stage, place / "first", seed, device)
    more = min(MOST_BATCHES, round(FEWEST_BATCHES * SECONDS / epoch.seconds))
    if more > FEWEST_BATCHES and len(train) > len(part):
        part = some(train, more * batch)
        epoch = short_epoch(run, model, part, valid, stage, place / "second", seed, device)
    validating = spent_on(lambda: validation_metrics(model, valid, batch * 4, device))
    content = torch.load(place / "first" / "last.pt", weights_only=True)
    writing = spent_on(lambda: torch.save(content, folder / "again.pt"))
    return StageCost(
        parameters=sum(one.numel() for one in model.parameters()),
        step=(epoch - validating - writing).times(min(batch, len(part)) / len(part)),
        valid=validating.times(1 / max(1, len(valid))),
        end=writing,
        state=(place / "first" / "last.pt").stat().st_size
        + sum(one.numel() * one.element_size() for one in model.parameters() if one.requires_grad),
        checkpoint=bytes_in(place / "first"),
    )


def short_epoch(
    run: RunConfig,
    model: I2M2,
    part: Samples,
    valid: Samples,
    stage: PlannedStage,
    folder: Path,
    seed: int,
    device: str,
) -> Spent:
    """Return what an epoch on a part of the samples takes: the mean of two, after one that is not counted."""
    laps: list[Spent] = []
    clock = Clock()
    settings = stage.settings.model_copy(
        update={"epochs": 3, "patience": None, "workers": 0, "learning_rate": stage.settings.learning_rates[0]}
    )
    fit(
        model,
        part,
        valid,
        settings,
        seed=seed,
        folder=folder,
        device=device,
        watch=lambda *_: laps.append(clock.lap()),
        plugins=run.plugins,
    )
    return (laps[1] + laps[2]).times(0.5)


def spent_on(work: Callable[[], object]) -> Spent:
    """Return what `work` takes."""
    clock = Clock()
    work()
    return clock.lap()


def most_of(split: str, batch: int, judged: int = MOST_JUDGED) -> int:
    """Return how many samples of a split a rehearsed run reads at most."""
    return FEWEST_BATCHES * batch if split == "train" else judged


def open_rehearsal(
    run: RunConfig, values: Values, cohort: Cohort, judge: Judge, place: Path, judged: int = MOST_JUDGED
) -> Experiment:
    """Return an experiment in the throw-away folder `place` that trains one epoch on a few batches and judges up to `judged` samples a split."""
    gc.collect()
    short = run.training.model_copy(update={"epochs": 1, "patience": None, "workers": 0})
    batch = run.training.batch
    heard = {"train": heard_rows(run, cohort)}
    opened = {
        split: some(cohort.samples(split), most_of(split, batch, judged), heard.get(split, ()))
        for split in cohort.splits
    }
    return Experiment(
        run=run.model_copy(update={"training": short}),
        values=values,
        cohort=replace(cohort, opened=opened),
        folder=place / "runs",
        uri=ensure_store(place, f"sqlite:///{place / 'mlflow.db'}"),  # whatever store the user has
        progress=Progress(),
        judge=judge,
    )


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """Runs that were recorded, what they took beside training, and what comparing them took."""

    made: Trained
    """The last with a report."""
    judged: int
    """Samples of its predictions."""
    first: Spent
    """The first run, beyond what the next took."""
    run: Spent
    fold: Spent
    """A run without a report, as folds are; nothing where there are none."""
    left: int
    """Bytes that a run left."""
    comparison: Spent = field(default_factory=Spent)
    """For one paradigm with one seed."""

    def grown(self, fewer: "Rehearsed", judged: int) -> "Rehearsed":
        """Return what `judged` samples take, on the line through this and what `fewer` of them took: much does not depend on their number."""
        times = max(0, judged - self.judged) / max(1, self.judged - fewer.judged)
        return replace(
            self,
            judged=judged,
            run=self.run + (self.run - fewer.run).times(times),
            fold=self.fold + (self.fold - fewer.fold).times(times),
            left=self.left + round(max(0, self.left - fewer.left) * times),
            comparison=self.comparison + (self.comparison - fewer.comparison).times(times),
        )


def rehearse(experiment: Experiment, paradigm: str) -> Rehearsed:
    """Record two runs, and one more as a fold's where `experiment` is of a fold."""
    made: list[Trained] = []
    spent: list[Spent] = []
    left: list[int] = []
    for reports in (True, True, *([False] if experiment.run.split.folds else [])):
        clock = Clock()
        made.append(replace(experiment, reports=reports).train(paradigm, len(made)))
        lap = clock.lap()
        spent.append(lap.times(max(0.0, 1 - made[-1].cost["seconds"] / lap.seconds)))
        left.append(bytes_in(experiment.folder.parent) - bytes_in(experiment.folder / "stages"))
    return Rehearsed(
        made=made[1],
        judged=sum(len(experiment.cohort.samples(split)) for split in experiment.cohort.splits if split != "train"),
        first=spent[0] - spent[1],
        run=spent[1],
        fold=spent[2] if spent[2:] else Spent(),
        left=left[1] - left[0],
    )


def bytes_in(folder: Path) -> int:
    """Return what the files of a folder hold."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def pretended(made: Trained, run: RunConfig) -> list[Trained]:
    """Return what a comparison would be made of, were every paradigm and seed to say what was rehearsed, and a little noise."""
    generator, said = np.random.default_rng(0), made.read()
    answer = [name for name in ("study", "item", "label") if name in said]
    others: list[Trained] = []
    for paradigm in run.paradigms:
        for seed in run.seeds:
            table = said.assign(p=said["p"] * np.exp(generator.normal(0, 0.3, len(said))))
            table["p"] /= table.groupby(answer, dropna=False, sort=False)["p"].transform("sum")
            others.append(replace(made, paradigm=paradigm, seed=seed, held=table))
    return others
