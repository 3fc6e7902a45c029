"""`i2m2 train CONFIG`: one paradigm, one or more seeds, into MLflow."""

from typing import TYPE_CHECKING, Any

from i2m2_med.config.reader import load_config
from i2m2_med.console import TerminalProgress, say, table

from .arguments import Config, Overrides
from .compare import record

if TYPE_CHECKING:
    from i2m2_med.engine.training.experiment import Experiment, Trained


def main(
    config: Config,
    *,
    set_: Overrides = (),
    resume: bool = False,
    skip_bad: bool = False,
    gpus: int | None = None,
    processes: int | None = None,
) -> dict[str, Any]:
    """Train the run's `paradigm` for each of its seeds (and each fold of a cross-validation), evaluate on validation and test, and
    record it. In several processes with --gpus or --processes, or under `torchrun --nproc-per-node N -m i2m2_med train CONFIG`.

    Parameters
    ----------
    resume
        Go on with what an interrupted call of the same config left; ends with the same weights, bit for bit.
    skip_bad
        While preparing, leave bad files out instead of stopping at the first.
    gpus
        GPUs of this machine that share every batch, each a process of its own.
    processes
        Processes that share every batch on this machine's CPUs.
    """
    run, values = load_config(config, set_)
    if gpus is not None or processes is not None:
        return in_processes(config, set_, resume, skip_bad, gpus, processes)
    from i2m2_med.engine.training.cross_validation import train
    from i2m2_med.engine.training.follow import follow
    from i2m2_med.engine.training.opening import open_experiment
    from i2m2_med.engine.training.processes import joined, leads
    from i2m2_med.report.run_report import run_judge

    with (
        joined(run.training.device),
        open_experiment(
            run, values, run_judge(run), TerminalProgress(), what="train", resume=resume, skip_bad=skip_bad
        ) as experiment,
    ):
        if not leads():
            for seed in run.seeds:
                follow(experiment, run.paradigm, seed)
            return {}
        parent, made = (
            train_seeds(experiment) if len(run.seeds) > 1 else ("", [train(experiment, run.paradigm, *run.seeds)])
        )
    rows = [row for one in made for row in one.rows]
    show(rows, experiment.manifest)
    say(f"runs {', '.join(one.run_id for one in made)} in {experiment.uri}")
    best = made[0].run_id[:8]
    say(f"next: i2m2 show {best}; i2m2 diagnose {best}; i2m2 score STUDIES OUT --model {best}")
    above = {"parent": parent} if parent else {}
    return {"run": made[0].run_id, "runs": [one.run_id for one in made], **above, "rows": rows}


def train_seeds(experiment: "Experiment") -> "tuple[str, list[Trained]]":
    """Train every seed into a run below one that holds their mean with its interval and the report on them; return that run too."""
    from i2m2_med.engine.training.cross_validation import train
    from i2m2_med.report.statistics.refusals import refuse_splits

    refuse_splits(experiment.manifest)
    paradigm = experiment.run.paradigm
    with experiment.as_parent(paradigm) as parent:
        made = [train(experiment, paradigm, seed) for seed in experiment.run.seeds]
        record(experiment, parent, made)
    say(f"mean over seeds in run {parent.run_id}")
    return parent.run_id, made


def in_processes(
    config: str, overrides: Overrides, resume: bool, skip_bad: bool, gpus: int | None, processes: int | None
) -> dict[str, Any]:
    """The same verb in each of several processes."""
    from i2m2_med.engine.training.launch import check_count, launch

    count = check_count(gpus, processes)
    device = "cpu" if gpus is None else "cuda"
    settings = [word for one in (*overrides, f"training.device={device}") for word in ("-s", one)]
    flags = [flag for flag, asked in (("--resume", resume), ("--skip-bad", skip_bad)) if asked]
    return launch(["train", config, *settings, *flags], count)


def show(rows: list[dict[str, Any]], manifest: dict[str, Any], split: str = "test") -> None:
    """Values with their intervals, and what may not be claimed from them."""
    from i2m2_med.report.run_report import value

    shown = [
        row for row in rows if row["metric"] in {"auroc", "accuracy", "soft_accuracy", "nll", "ece", "ece_of_chance"}
    ]
    cells = [[row["paradigm"], row["seed"], row["label"], row["metric"], value(row)] for row in shown]
    table(f"{split.capitalize()} split", ["paradigm", "seed", "label", "metric", "value [95 % interval]"], cells)
    for remark in manifest["remarks"]:
        say(remark)
