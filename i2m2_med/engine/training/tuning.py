"""Hyper-parameters by Optuna: the same number of trials for every paradigm, judged on validation; the test split is not there.

Each trial draws with a seed of its own (of paradigm and number) and knows the trials before it: those of the start, which are drawn at
random, can be trained side by side, and so can paradigms; the others of a paradigm learn from one another, one after the other. So what
is found does not depend on how many processes train. A trial's note says what came out of it, so a search that was killed goes on as it
would have: what is done is told to Optuna again, and the trial that was cut off takes up its checkpoints.
"""

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from i2m2_med.config.run import RunConfig
from i2m2_med.config.tuning import Dimension, own_space
from i2m2_med.console import Advance
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.engine.prediction.seed import seed_for
from i2m2_med.engine.training.experiment import Experiment, read_note
from i2m2_med.engine.training.selection import HIGHER, validation_metrics
from i2m2_med.engine.training.side_by_side import Outcome, in_turn, workers
from i2m2_med.engine.training.units import Assignment, Task, left_out
from i2m2_med.errors import ConfigError, UserError, extra_hint
from i2m2_med.files import write_json

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

TUNING = "tuning"
"""The paradigm of a search's parent run."""
TRAINING_SPLITS = ("train", "valid")
"""What a search may ask for."""
Configure = Callable[[str, Mapping[str, Any]], RunConfig]
"""(paradigm, settings found) → the config with them."""


@dataclass(frozen=True)
class Best:
    """What a paradigm's search found."""

    paradigm: str
    trial: int
    value: float
    settings: dict[str, Any]
    refused: int
    """Trials that could not be trained."""


@dataclass(frozen=True)
class Trial:
    """A training with settings that were drawn, as a run of its own."""

    paradigm: str
    number: int
    settings: dict[str, Any]
    configured: RunConfig
    """The config with the settings."""

    @property
    def name(self) -> str:
        """'i2m2, trial 3'."""
        return f"{self.paradigm}, trial {self.number}"

    @property
    def folder(self) -> str:
        """Where its note lies, in the experiment's folder."""
        return f"{self.paradigm}-trial-{self.number}"

    def run(self, experiment: Experiment) -> float:
        """Return what validation says of the settings; that, or why they could not be trained, is noted."""
        run, path = self.configured, experiment.folder / self.folder / "note.json"
        one, seed = replace(experiment, run=run), run.seeds[0]
        before = read_note(path.parent)
        with one.tracked(self.paradigm, seed, before.get("run")) as tracker:
            note = {"run": tracker.run_id, "settings": self.settings}
            write_json(path, note)
            tracker.tags({"trial": self.number, **{f"tune.{key}": value for key, value in self.settings.items()}})
            try:
                value = score(one.fit(self.paradigm, seed, tracker)[0], one)
            except UserError as error:
                write_json(path, note | {"refused": str(error).splitlines()[0]})
                raise
            tracker.metrics({f"best/{run.training.select}": value})
            write_json(path, note | {"value": value})
        return value


@dataclass
class Search:
    """A paradigm's trials: those that were asked for, and what came of them."""

    experiment: Experiment
    paradigm: str
    configure: Configure
    advance: Advance
    study: "Study" = field(init=False)
    space: "dict[str, BaseDistribution]" = field(init=False)
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The settings of each trial, by its number."""
    values: dict[int, float] = field(default_factory=dict[int, float])
    refused: dict[int, str] = field(default_factory=dict[int, str])
    broken: bool = False
    """A process died with one of its trials: those after it would have learnt from that."""

    def __post_init__(self) -> None:
        run = self.experiment.run
        direction = "maximize" if HIGHER[run.training.select] else "minimize"
        self.study = need_optuna().create_study(study_name=self.paradigm, direction=direction)
        space = own_space(run.tune, run.paradigms[self.paradigm].experts)
        self.space = {key: distribution(one) for key, one in space.items()}

    @property
    def done(self) -> int:
        """How many trials were trained or refused."""
        return len(self.values) + len(self.refused)

    def ready(self) -> Trial | None:
        """Return the next trial if all that it learns from is done; what an earlier call did is told on the way."""
        tune, seed = self.experiment.run.tune, self.experiment.run.seeds[0]
        while not self.broken and (number := len(self.asked)) < tune.trials:
            if number >= tune.startup and self.done < number:
                return None
            self.study.sampler = sampler(tune.startup, seed_for(seed, "tune", self.paradigm, number))
            settings = dict(self.study.ask(self.space).params)
            self.asked.append(settings)
            trial = Trial(self.paradigm, number, settings, self.configure(self.paradigm, settings))
            note = read_note(self.experiment.folder / trial.folder)
            if note.get("settings") != settings or not {"value", "refused"} & note.keys():
                return trial
            self.tell(trial, Outcome(note.get("value"), note.get("refused", "")))
        return None

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Tell the study what became of a trial; one that could not be trained counts among them."""
        if outcome.died:
            self.broken = True
            return
        if outcome.error:
            self.refused[trial.number] = outcome.error.splitlines()[0]
            self.study.tell(trial.number, state=need_optuna().trial.TrialState.FAIL)
            self.experiment.progress.say(f"{trial.name} can't be trained: {outcome.error}")
        else:
            self.values[trial.number] = outcome.value
            self.study.tell(trial.number, outcome.value)
        self.advance(f"trial {trial.number}: {'refused' if outcome.error else f'{outcome.value:.4f}'}")

    def best(self) -> Best:
        """Return the best trial; of equal ones the first. Raises UserError where none could be trained."""
        if not self.values:
            raise UserError(
                f"none of {self.done} trials of {self.paradigm} could be trained; the last: {self.refused[max(self.refused)]}"
            )
        sign = 1 if self.study.direction.name == "MAXIMIZE" else -1
        number = max(self.values, key=lambda one: (sign * self.values[one], -one))
        return Best(self.paradigm, number, self.values[number], self.asked[number], len(self.refused))


def search_all(experiment: Experiment, configure: Configure, assignment: Assignment, jobs: int) -> list[Best]:
    """Run every paradigm's trials in `jobs` processes, as far as an earlier call has not, and return the best of each."""
    failed: list[str] = []
    with searches(experiment, configure) as every:

        def told(task: Task, outcome: Outcome) -> None:
            assert isinstance(task, Trial)
            failed.extend([f"{task.name}: {outcome.error}"] if outcome.died else [])
            every[task.paradigm].tell(task, outcome)

        if jobs == 1:
            for one in every.values():
                in_turn(experiment, one.ready, told)
        else:
            with workers(assignment, jobs, experiment.progress) as pool:
                pool.run(lambda: next(ready_of(list(every.values())), None), told)
    left_out(failed)
    return [one.best() for one in every.values()]


def ready_of(every: Sequence[Search]) -> Iterator[Trial]:
    """Yield what is ready, first of the paradigm that is furthest behind."""
    for one in sorted(every, key=lambda search: len(search.asked)):
        if (trial := one.ready()) is not None:
            yield trial


@contextmanager
def searches(experiment: Experiment, configure: Configure) -> Generator[dict[str, Search]]:
    """Yield a search for each paradigm, with a bar that counts its trials."""
    with experiment.progress.together(), ExitStack() as bars:
        n_trials = experiment.run.tune.trials
        yield {
            paradigm: Search(
                experiment,
                paradigm,
                configure,
                bars.enter_context(experiment.progress.bar(f"{paradigm}: trials", n_trials)),
            )
            for paradigm in experiment.run.paradigms
        }


def score(predictor: Predictor, experiment: Experiment) -> float:
    """Return the metric that epochs are chosen by, on validation. Raises UserError where it is not defined."""
    training, samples = experiment.run.training, experiment.cohort.samples("valid")
    metrics = validation_metrics(predictor.model, samples, training.batch * 4, predictor.device)
    value = metrics.get(training.select, math.nan)
    if not math.isfinite(value):
        raise UserError(f"{training.select} of validation is not defined; choose another `training.select`")
    return value


def need_optuna() -> Any:
    """Return Optuna, silent. Raises ConfigError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f"tune needs Optuna: {extra_hint('tune')}") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def sampler(startup: int, seed: int) -> Any:
    """Return a tree-structured Parzen estimator (Bergstra et al. 2011)."""
    return need_optuna().samplers.TPESampler(n_startup_trials=startup, seed=seed)


def distribution(dimension: Dimension) -> "BaseDistribution":
    """Return a range as Optuna draws from it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.choice:
        return CategoricalDistribution(dimension.choice)
    if dimension.int:
        return IntDistribution(*dimension.int)
    if dimension.log_uniform:
        return FloatDistribution(*dimension.log_uniform, log=True)
    assert dimension.uniform
    return FloatDistribution(*dimension.uniform)
