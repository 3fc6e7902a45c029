"""A few steps of training and one run of a config's own paradigms, in a workspace that is thrown away: what they take is what a plan is made of."""

import gc
import os
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from i2m2_med.config.run import RunConfig
from i2m2_med.config.yaml_source import Values
from i2m2_med.console import Progress, Terminal
from i2m2_med.engine.prediction.build import build_model, give_shares
from i2m2_med.engine.prediction.seed import device_for
from i2m2_med.engine.tracking.store import ensure_store
from i2m2_med.engine.training.estimate import Counts, Reading, Spent, StageCost
from i2m2_med.engine.training.experiment import Experiment, Trained
from i2m2_med.engine.training.fit import fit
from i2m2_med.engine.training.loss import learnt_prior
from i2m2_med.engine.training.selection import validation_metrics
from i2m2_med.engine.training.stages import PlannedStage
from i2m2_med.model import I2M2
from i2m2_med.predictions import Judge
from i2m2_med.samples.batch import Batch
from i2m2_med.samples.cohort import Cohort
from i2m2_med.samples.dataset import Samples

FEWEST_BATCHES = 2
MOST_BATCHES = 64
SECONDS = 2.0
"""Of an epoch of a rehearsed stage, where there are samples enough."""
MOST_VALID, MOST_JUDGED = 1_000, 4_000
"""Samples of a split that are validated, and that are predicted and judged, at most."""
FEW = 8
"""Samples on which activations are counted: what they keep grows with their number, and a whole batch may not fit."""


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


def some(samples: Samples, most: int) -> Samples:
    """Return up to `most` samples, drawn without looking at them; they begin without a cache of their own."""
    if len(samples) <= most:
        rows = np.arange(len(samples))
    else:
        rows = np.sort(np.random.default_rng(0).choice(len(samples), most, replace=False))
    taken = samples.take(rows)
    return taken if taken.cached is None else taken.replaced(cached={})


def counted(cohort: Cohort) -> Counts:
    """Return how many samples each split has."""
    sizes = {split: len(cohort.samples(split)) for split in cohort.splits}
    return Counts(sizes["train"], sizes["valid"], sum(sizes.values()) - sizes["train"] - sizes["valid"])


def measure_reading(cohort: Cohort, batch: int) -> Reading:
    """Return what reading training samples takes, the first time and again."""
    part = some(cohort.samples("train"), FEWEST_BATCHES * batch)
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


def activations(run: RunConfig, cohort: Cohort, batch: int) -> dict[str, int]:
    """Return by expert the bytes that its forward pass on a whole batch keeps for the backward pass."""
    train = cohort.samples("train")
    whole = min(batch, len(train))
    one = some(train, min(whole, FEW))
    samples = one.__getitems__(range(len(one)))
    models = {name: build_model(run, [name], cohort.labels, 0) for name in run.experts}
    return {name: round(kept(model, samples) * whole / len(one)) for name, model in models.items()}


def kept(model: I2M2, batch: Batch) -> int:
    """Return the bytes that a forward pass in training keeps for the backward pass, beside weights and inputs."""
    known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *batch.inputs.values())}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        said = model.train()(batch.inputs, batch.present)
    del said  # until here nothing that was kept is freed, so that no place is used twice
    return sum(size for place, size in found.items() if place not in known)


@contextmanager
def stage_set() -> Generator[Path]:
    """A workspace that is gone afterwards, in which nothing is said."""
    before, quiet = os.environ.get("I2M2_WORK"), Terminal.quiet
    with tempfile.TemporaryDirectory(prefix="i2m2-plan-") as folder:
        os.environ["I2M2_WORK"], Terminal.quiet = folder, True
        try:
            yield Path(folder)
        finally:
            Terminal.quiet = quiet
            if before is None:
                del os.environ["I2M2_WORK"]
            else:
                os.environ["I2M2_WORK"] = before


def most_of(split: str, batch: int) -> int:
    """Return how many samples of a split a rehearsed run reads at most."""
    return FEWEST_BATCHES * batch if split == "train" else MOST_JUDGED


def open_rehearsal(run: RunConfig, values: Values, cohort: Cohort, judge: Judge, place: Path) -> Experiment:
    """Return an experiment in the throw-away workspace `place` that trains one epoch on a few batches and judges up to `MOST_JUDGED` samples a split."""
    gc.collect()
    short = run.training.model_copy(update={"epochs": 1, "patience": None, "workers": 0})
    batch = run.training.batch
    opened = {split: some(cohort.samples(split), most_of(split, batch)) for split in cohort.splits}
    return Experiment(
        run=run.model_copy(update={"training": short}),
        values=values,
        cohort=replace(cohort, opened=opened),
        folder=place / "runs",
        uri=ensure_store(place, f"sqlite:///{place / 'mlflow.db'}"),  # whatever store the user has
        progress=Progress(),
        judge=judge,
    )


def rehearse(experiment: Experiment, paradigm: str, counts: Counts) -> tuple[Trained, Spent, Spent, int]:
    """Record two runs; return the second, what the first took more, what the second took beside training, and the bytes that it left."""
    made: list[Trained] = []
    spent: list[Spent] = []
    left: list[int] = []
    for seed in (0, 1):
        clock = Clock()
        made.append(experiment.train(paradigm, seed))
        lap = clock.lap()
        spent.append(lap.times(max(0.0, 1 - made[-1].cost["seconds"] / lap.seconds)))
        left.append(bytes_in(experiment.folder.parent) - bytes_in(experiment.folder / "stages"))
    judged = sum(len(experiment.cohort.samples(split)) for split in experiment.cohort.splits if split != "train")
    scale = (counts.valid + counts.test) / judged
    return made[-1], spent[0] - spent[1], spent[1].times(scale), left[1] - left[0]


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
