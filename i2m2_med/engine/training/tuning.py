"""Hyper-parameters by Optuna: the same number of trials for every paradigm, judged on validation; the test split is not there.

A study's journal lies in the experiment's folder. Each trial draws with a seed of its own (of paradigm and number), so a search that
was killed goes on as it would have: its trials are the same, and the one that was cut off takes up its checkpoints.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.config.run import RunConfig
from i2m2_med.config.tuning import Dimension, own_space
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.engine.prediction.seed import seed_for
from i2m2_med.engine.training.experiment import Experiment, read_note
from i2m2_med.engine.training.selection import HIGHER, validation_metrics
from i2m2_med.errors import ConfigError, UserError, extra_hint
from i2m2_med.files import write_json
from i2m2_med.samples.cohort import Cohort

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

TUNING = "tuning"
"""The paradigm of a search's parent run."""
REFUSED = "refused"
"""Attribute of a trial that could not be trained, and why; it counts among the trials."""
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


def without_test(cohort: Cohort) -> Cohort:
    """The same data with nothing but training and validation to ask for."""
    splits = {name: cohort.manifest["splits"][name] for name in ("train", "valid")}
    return replace(cohort, manifest=cohort.manifest | {"splits": splits}, opened={})


def search(experiment: Experiment, paradigm: str, configure: Configure) -> Best:
    """Run a paradigm's trials, as far as an interrupted call has not, and return the best. Raises UserError where none could be trained."""
    run = experiment.run
    study = open_study(experiment.folder / f"{paradigm}.journal", paradigm, HIGHER[run.training.select])
    space = {key: distribution(one) for key, one in own_space(run.tune, run.paradigms[paradigm].experts).items()}
    for left in study.get_trials(deepcopy=False):
        if not left.state.is_finished():
            study.tell(left.number, state=fail())
    trials = finished(study)
    done = len(trials)
    for number in experiment.progress.track(
        range(done, run.tune.trials), f"{paradigm}: trials", run.tune.trials - done
    ):
        study.sampler = sampler(run.tune.startup, seed_for(run.seeds[0], "tune", paradigm, number))
        trial = study.ask(space)
        try_settings(experiment, study, trial, number, configure(paradigm, trial.params))
    return best_of(study, paradigm)


def try_settings(experiment: Experiment, study: "Study", trial: "Trial", number: int, run: RunConfig) -> None:
    """Train one trial as a run of its own, and tell the study what validation says; why it could not be trained is kept with it."""
    paradigm, seed = study.study_name, run.seeds[0]
    one = replace(experiment, run=run)
    folder = experiment.folder / f"{paradigm}-trial-{number}"
    try:
        with one.tracked(paradigm, seed, read_note(folder).get("run")) as tracker:
            write_json(folder / "note.json", {"run": tracker.run_id})
            tracker.tags({"trial": number, **{f"tune.{key}": value for key, value in trial.params.items()}})
            value = score(one.fit(paradigm, seed, tracker)[0], one)
            tracker.metrics({f"best/{run.training.select}": value})
    except UserError as error:
        trial.set_user_attr(REFUSED, str(error).splitlines()[0])
        study.tell(trial, state=fail())
        experiment.progress.say(f"{paradigm}, trial {number} can't be trained: {error}")
    else:
        study.tell(trial, value)


def score(predictor: Predictor, experiment: Experiment) -> float:
    """The metric that epochs are chosen by, on validation. Raises UserError where it is not defined."""
    training, samples = experiment.run.training, experiment.cohort.samples("valid")
    metrics = validation_metrics(predictor.model, samples, training.batch * 4, predictor.device)
    value = metrics.get(training.select, math.nan)
    if math.isnan(value):
        raise UserError(f"{training.select} of validation is not defined; choose another `training.select`")
    return value


def best_of(study: "Study", paradigm: str) -> Best:
    """The best trial; of equal ones the first."""
    trials = finished(study)
    known = [(at, trial) for at, trial in enumerate(trials) if REFUSED not in trial.user_attrs]
    if not known:
        raise UserError(
            f"none of {len(trials)} trials of {paradigm} could be trained; the last: {trials[-1].user_attrs[REFUSED]}"
        )
    sign = 1 if study.direction.name == "MAXIMIZE" else -1
    at, best = max(known, key=lambda one: (sign * float(one[1].value or 0.0), -one[0]))
    return Best(paradigm, at, float(best.value or 0.0), dict(best.params), len(trials) - len(known))


def finished(study: "Study") -> "list[FrozenTrial]":
    """Trials that were trained or refused, in their order, without those that were cut off."""
    return [one for one in study.get_trials(deepcopy=False) if one.value is not None or REFUSED in one.user_attrs]


def open_study(journal: Path, name: str, higher: bool) -> "Study":
    """The study of a journal, made if it is not there. Raises ConfigError where Optuna is not installed."""
    optuna = need_optuna()
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
    direction = "maximize" if higher else "minimize"
    return optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)


def need_optuna() -> Any:
    """Optuna, silent. Raises ConfigError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f"tune needs Optuna: {extra_hint('tune')}") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def sampler(startup: int, seed: int) -> Any:
    """Tree-structured Parzen estimator (Bergstra et al. 2011)."""
    return need_optuna().samplers.TPESampler(n_startup_trials=startup, seed=seed)


def fail() -> Any:
    """Optuna's state of a trial without a value."""
    return need_optuna().trial.TrialState.FAIL


def distribution(dimension: Dimension) -> "BaseDistribution":
    """A range as Optuna draws from it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.choice:
        return CategoricalDistribution(dimension.choice)
    if dimension.int:
        return IntDistribution(*dimension.int)
    if dimension.log_uniform:
        return FloatDistribution(*dimension.log_uniform, log=True)
    assert dimension.uniform
    return FloatDistribution(*dimension.uniform)
