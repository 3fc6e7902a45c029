"""`i2m2 tune CONFIG`: settings by validation, the same number of trials for every paradigm, written as a config for `compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.config.reader import load_config
from i2m2_med.config.run import RunConfig
from i2m2_med.config.space import check_space, tuned_values
from i2m2_med.config.yaml_source import Values
from i2m2_med.console import TerminalProgress, say, table
from i2m2_med.errors import ConfigError
from i2m2_med.workspace import workspace

from .arguments import Config, Overrides

if TYPE_CHECKING:
    from i2m2_med.engine.training.tuning import Best


def main(
    config: Config, *, set_: Overrides = (), resume: bool = False, out: Path | None = None, jobs: int = 1
) -> dict[str, Any]:
    """Search `tune.space` for every paradigm of the config, `tune.trials` trainings each, judged by `training.select` on validation.

    The test split is not read. The best settings of each paradigm are written as a config that `compare` takes.

    Parameters
    ----------
    resume
        Go on with what an interrupted call of the same config left; more `tune.trials` add to it.
    out
        Where the config is written; a file of the workspace where not said.
    jobs
        Trials at a time, each in one of as many processes, on the GPUs in turn where there are any. A paradigm's trials after the first
        `tune.startup` learn from one another, so that only other paradigms' are trained beside them. What is found is the same.
    """
    if jobs < 1:
        raise ConfigError(f"--jobs is how many trials are trained at a time, at least 1; it is {jobs}")
    if jobs > 1:
        from i2m2_med.engine.training.preloaded import start

        start()  # now, beside this process's own imports
    run, values = load_config(config, set_)
    refuse(run, values)
    from i2m2_med.engine.training.opening import open_experiment
    from i2m2_med.engine.training.tuning import TRAINING_SPLITS, TUNING, need_optuna, search_all
    from i2m2_med.engine.training.units import assign, of_splits
    from i2m2_med.report.run_report import run_judge

    need_optuna()
    depends = [run.tune.model_dump(mode="json", exclude={"trials"})]
    with open_experiment(
        run, values, run_judge(run), TerminalProgress(), what="tune", resume=resume, depends=depends
    ) as experiment:
        experiment.cohort = of_splits(experiment.cohort, TRAINING_SPLITS)
        with experiment.as_parent(TUNING) as parent:
            found = search_all(
                experiment,
                lambda name, settings: configured(run, values, name, settings),
                assign(experiment, parent.run_id, run_judge),
                jobs,
            )
            written = write(run, values, found, out or workspace() / "tuned" / f"{values.name}.yaml")
            parent.artifact(written)
    show(run, found)
    say(f"the best settings are in {written}; next: i2m2 compare {written}")
    best = {one.paradigm: {"value": one.value, "trial": one.trial, "settings": one.settings} for one in found}
    return {"run": parent.run_id, "metric": run.training.select, "best": best, "config": str(written)}


def refuse(run: RunConfig, values: Values) -> None:
    """Raise ConfigError for a config that says nothing to search, or whose validation patients are another fold's test."""
    if not run.tune.space:
        raise ConfigError(
            "there is no tune.space to search; say ranges such as training.learning_rate: {log_uniform: [1e-4, 1e-2]}"
        )
    if run.split.cross_validated:
        raise ConfigError(
            "settings chosen on all folds would have been chosen on patients who test; tune within one fold: -s split.fold=0"
        )
    check_space(run, values)


def configured(run: RunConfig, values: Values, paradigm: str, settings: Any) -> RunConfig:
    """The run with settings of one paradigm."""
    from i2m2_med.config.reader import validate

    return validate(tuned_values(run, values, {paradigm: settings}))


def write(run: RunConfig, values: Values, found: "list[Best]", path: Path) -> Path:
    """The config with the best settings of each paradigm."""
    from i2m2_med.documents import write_yaml
    from i2m2_med.files import replace_file

    tuned = tuned_values(run, values, {one.paradigm: one.settings for one in found})
    head = f"# i2m2 compare {path}\n# Settings found by `i2m2 tune` on validation, {run.tune.trials} trials of each paradigm.\n"
    with replace_file(path) as beside:
        beside.write_text(head + write_yaml(tuned.content), encoding="utf-8")
    return path


def show(run: RunConfig, found: "list[Best]") -> None:
    """The best trial of each paradigm."""
    rows = [
        [
            one.paradigm,
            f"{one.value:.4f}",
            one.trial,
            one.refused,
            ", ".join(
                f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
                for key, value in one.settings.items()
            ),
        ]
        for one in found
    ]
    title = f"{run.task}: best of {run.tune.trials} trials each, by validation's {run.training.select}"
    table(title, ["paradigm", run.training.select, "trial", "not trainable", "settings"], rows)
