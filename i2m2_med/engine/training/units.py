"""What a comparison trains, in units that other processes, parts and machines can share: a paradigm with a seed, or one fold of it.

A unit leaves what it trained in the experiment's folder, finished and recorded as a run; the comparison then finds it done, as after
`--resume`. So a report does not depend on who trained what, and what was interrupted is taken up by whoever comes next.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from i2m2_med.config.run import RunConfig
from i2m2_med.config.yaml_source import Values
from i2m2_med.console import Progress
from i2m2_med.engine.training.cross_validation import train
from i2m2_med.engine.training.experiment import Experiment, Parent, read_note
from i2m2_med.engine.training.shared_runs import run_of_folds
from i2m2_med.errors import UserError
from i2m2_med.parts import Part
from i2m2_med.predictions import Judge
from i2m2_med.samples.cohort import Cohort, open_cohort

MakeJudge = Callable[[RunConfig], Judge]


@runtime_checkable
class Task(Protocol):
    """What a process does for an experiment; it travels to the process."""

    @property
    def name(self) -> str:
        """How it is called in messages."""
        ...

    def run(self, experiment: Experiment) -> Any:
        """Do it; what it returns travels back. Raises UserError where it can't be done."""
        ...


class Unit(NamedTuple):
    """A paradigm with a seed; `fold`: of a cross-validation, whose folds are pooled by the unit without one."""

    paradigm: str
    seed: int
    fold: int | None = None

    @property
    def name(self) -> str:
        """'i2m2, seed 0, fold 2'."""
        return f"{self.paradigm}, seed {self.seed}" + ("" if self.fold is None else f", fold {self.fold}")

    def note(self, folder: Path) -> dict[str, Any]:
        """Return what stands in an experiment's folder on it; empty where it was not begun."""
        place = folder if self.fold is None else folder / f"fold-{self.fold}"
        return read_note(place / f"{self.paradigm}-{self.seed}")

    def run(self, experiment: Experiment) -> None:
        """Train it, and record it as a run."""
        if self.fold is None:
            train(experiment, self.paradigm, self.seed)
        else:
            above = Parent(run_of_folds(experiment, self.paradigm, self.seed))
            experiment.of_fold(self.fold, above).train(self.paradigm, self.seed)


@dataclass(frozen=True)
class Assignment:
    """What another process needs to work for an experiment: values only, which travel."""

    run: RunConfig
    values: Values
    prepared: Path
    """The folder of the prepared data."""
    splits: tuple[str, ...]
    folder: Path
    uri: str
    parent: str
    make_judge: MakeJudge

    def open(self, progress: Progress) -> Experiment:
        """Open the experiment in this process."""
        return Experiment(
            run=self.run,
            values=self.values,
            cohort=of_splits(open_cohort(self.run, self.prepared), self.splits),
            folder=self.folder,
            uri=self.uri,
            progress=progress,
            judge=self.make_judge(self.run),
            parent=Parent(self.parent),
        )


def of_splits(cohort: Cohort, names: Sequence[str]) -> Cohort:
    """Return the same data with nothing but these splits to ask for."""
    if cohort.splits == tuple(names):
        return cohort
    splits = {name: cohort.manifest["splits"][name] for name in names}
    return replace(cohort, manifest=cohort.manifest | {"splits": splits}, opened={})


def assign(experiment: Experiment, parent: str, make_judge: MakeJudge) -> Assignment:
    """Return what other processes need to work for `experiment`, below the run `parent`."""
    one = experiment
    splits = tuple(one.cohort.splits)
    return Assignment(one.run, one.values, one.cohort.folder, splits, one.folder, one.uri, parent, make_judge)


def trainings(run: RunConfig) -> list[Unit]:
    """Return every paradigm with every seed: the rows of a comparison, in its order."""
    return [Unit(paradigm, seed) for seed in run.seeds for paradigm in run.paradigms]


def units(run: RunConfig) -> list[Unit]:
    """Return all that a comparison trains: of a cross-validation each fold."""
    folds = range(run.split.folds or 0) if run.split.cross_validated else [None]
    return [Unit(one.paradigm, one.seed, fold) for one in trainings(run) for fold in folds]


def share_of(run: RunConfig, part: Part) -> list[Unit]:
    """Return what a part of a comparison trains."""
    return units(run)[part.index :: part.count]


def unfinished(folder: Path, among: Sequence[Unit]) -> list[Unit]:
    """Return those units that are not trained and recorded yet in an experiment's folder."""
    return [unit for unit in among if not unit.note(folder).get("done")]


def waves(assignment: Assignment, part: Part) -> Iterator[list[Unit]]:
    """Yield what a part has to train, and then what is to be pooled of it: each list can be done in any order, the largest first.

    Parts leave the pooling to those who merge them: folds may be another part's.
    """
    run, folder = assignment.run, assignment.folder

    def waiting(among: Sequence[Unit]) -> list[Unit]:
        return sorted(unfinished(folder, among), key=lambda unit: -len(run.paradigms[unit.paradigm].experts))

    yield waiting(share_of(run, part))
    if run.split.cross_validated and part.whole:
        lacking = {(unit.paradigm, unit.seed) for unit in unfinished(folder, units(run))}
        yield waiting([unit for unit in trainings(run) if (unit.paradigm, unit.seed) not in lacking])


def check_whole(experiment: Experiment) -> None:
    """Raise UserError where parts of a comparison have not trained everything, or were trained by other versions of the code."""
    whole, folder = units(experiment.run), experiment.folder
    if missing := unfinished(folder, whole):
        named = "; ".join(unit.name for unit in missing)
        raise UserError(f"{len(missing)} of {len(whole)} trainings are not done yet: {named}. Train them, then merge")
    if len(codes := {unit.note(folder).get("code") for unit in whole}) > 1:
        raise UserError(f"{folder} was trained by {len(codes)} versions of the code; train all parts with one")


def left_out(failed: Sequence[str]) -> None:
    """Raise UserError where trainings failed. failed: a line on each."""
    if failed:
        raise UserError("\n".join([*failed, "the others are trained and kept: --resume trains what is missing"]))
