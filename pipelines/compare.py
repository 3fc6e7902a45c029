"""`i2m2 compare CONFIG`: all paradigms × seeds under one parent run, one table, one figure."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import Group, Parameter

from i2m2_med.config.reader import load_config
from i2m2_med.config.run import RunConfig
from i2m2_med.console import TerminalProgress, say, table
from i2m2_med.errors import ConfigError, UserError
from i2m2_med.parts import Part

from .arguments import Config, Overrides, as_typed
from .check import check_networks

if TYPE_CHECKING:
    from i2m2_med.engine.tracking.run import Tracker
    from i2m2_med.engine.training.experiment import Experiment, Trained
    from i2m2_med.report.comparison_report import WrittenReport


@Parameter(name="*", group=Group("Who does the work", sort_key=2))
@dataclass(frozen=True)
class Work:
    """Processes and machines."""

    jobs: int = 1
    """Trainings at a time, each (a paradigm with a seed, or a fold of it) in one of as many processes, on the GPUs in turn where there
    are any. On a CPU the cores are shared out; with OMP_NUM_THREADS=1 numbers are those of one after the other, bit for bit."""
    engine: Literal["local", "ray"] = "local"
    """`ray`: `jobs` tasks at a time on a Ray cluster; workspace, data and store lie where every node sees them."""
    num_parts: int = 1
    """Share the trainings among this many calls, on one or several machines with one workspace. On Slurm: `sbatch --array=0-9 --wrap
    'i2m2 compare CONFIG --num-parts 10 --part-id $SLURM_ARRAY_TASK_ID'`, then `i2m2 compare merge CONFIG`."""
    part_id: int = 0
    """Which of the parts this call is, from 0."""


def main(
    config: Config,
    *,
    set_: Overrides = (),
    resume: bool = False,
    skip_bad: bool = False,
    out: Path | None = None,
    work: Work = Work(),
) -> dict[str, Any]:
    """Train every paradigm of the config with every seed on the same data and budget, and compare them on the test split.

    Parameters
    ----------
    resume
        Go on with what an interrupted call of the same config left; what is finished is not trained again.
    skip_bad
        While preparing, leave bad files out instead of stopping at the first.
    out
        Also put the report, tables and figure into this folder.
    """
    if work.jobs < 1:
        raise ConfigError(f"--jobs is how many trainings run at a time, at least 1; it is {work.jobs}")
    part = Part(work.part_id, work.num_parts)
    if out and not part.whole:
        raise ConfigError("--out: a part of a comparison writes no report; `i2m2 compare merge CONFIG --out …` does")
    if work.jobs > 1 and work.engine == "local":
        from i2m2_med.engine.training.preloaded import start

        start()  # now, beside this process's own imports
    run, values = load_config(config, set_)
    from i2m2_med.engine.training.opening import open_experiment
    from i2m2_med.report.run_report import run_judge
    from i2m2_med.report.statistics.refusals import refuse_splits

    check_networks(run)  # of every paradigm, before the first is trained
    judge, progress, resume = run_judge(run), TerminalProgress(), resume or not part.whole
    with open_experiment(
        run, values, judge, progress, what="compare", resume=resume, skip_bad=skip_bad, part=part
    ) as experiment:
        refuse_splits(experiment.manifest)
        if not part.whole:
            return train_part(experiment, work, part, as_typed(config, set_))
        with experiment.as_parent() as parent:
            if work.jobs > 1 or work.engine != "local":
                train_units(experiment, parent.run_id, work, part)
            return compare(experiment, parent, out)


def merge_parts(config: Config, *, set_: Overrides = (), out: Path | None = None) -> dict[str, Any]:
    """Compare what `i2m2 compare CONFIG --num-parts N --part-id i` trained.

    Parameters
    ----------
    out
        Also put the report, tables and figure into this folder.
    """
    run, values = load_config(config, set_)
    from i2m2_med.engine.training.opening import open_experiment
    from i2m2_med.engine.training.units import check_whole
    from i2m2_med.report.run_report import run_judge

    judge = run_judge(run)
    with open_experiment(run, values, judge, TerminalProgress(), what="compare", resume=True) as experiment:
        check_whole(experiment)
        with experiment.as_parent() as parent:
            return compare(experiment, parent, out)


def train_units(experiment: "Experiment", parent: str, work: Work, part: Part) -> None:
    """Train this call's part in other processes, several at a time."""
    from i2m2_med.engine.training.units import assign
    from i2m2_med.report.run_report import run_judge

    assignment = assign(experiment, parent, run_judge)
    if work.engine == "ray":
        from i2m2_med.engine.training.on_ray import train_on_ray as train
    else:
        from i2m2_med.engine.training.side_by_side import train_side_by_side as train
    train(assignment, part, work.jobs, experiment.progress)


def train_part(experiment: "Experiment", work: Work, part: Part, config: str) -> dict[str, Any]:
    """Train one part of a comparison; the last step is `merge`."""
    from i2m2_med.engine.training.shared_runs import shared_parent
    from i2m2_med.engine.training.units import share_of

    parent, share = shared_parent(experiment), share_of(experiment.run, part)
    train_units(experiment, parent, work, part)
    say(f"part {part.index} of {part.count}: {len(share)} trainings are done")
    say(f"next, once all parts are: i2m2 compare merge {config}")
    trained = [[value for value in unit if value is not None] for unit in share]
    return {"run": parent, "part": part.index, "trainings": trained}


def compare(experiment: "Experiment", parent: "Tracker", out: Path | None) -> dict[str, Any]:
    """Train what is not trained yet, compare, record, and say what came out. A training that fails stops no other."""
    from i2m2_med.engine.training.cross_validation import train
    from i2m2_med.engine.training.units import left_out, trainings

    run = experiment.run
    made, failed = list["Trained"](), list[str]()
    for one in trainings(run):
        try:
            made.append(train(experiment, one.paradigm, one.seed))
        except UserError as error:
            failed.append(f"{one.name}: {error}")
    left_out(failed)
    report = record(experiment, parent, made)
    show(report, run, experiment)
    written = copy(experiment.folder / "report", out) if out else experiment.folder / "report"
    say(f"report in {written / 'report.html'}; parent run {parent.run_id}")
    say(f"next: i2m2 diagnose {parent.run_id[:8]} says where the signal lies; i2m2 ui shows the runs in MLflow")
    return {
        "run": parent.run_id,
        "runs": [one.run_id for one in made],
        "rows": report.rows,
        "report": str(written / "report.html"),
    }


def record(experiment: "Experiment", parent: "Tracker", made: "Sequence[Trained]") -> "WrittenReport":
    """Write the comparison's report, and record it in its run."""
    report = write_comparison(experiment, made)
    experiment.record_comparison(parent, made, report.comparison.all_rows, report.verdict)
    return report


def write_comparison(experiment: "Experiment", made: "Sequence[Trained]") -> "WrittenReport":
    """The comparison's report: tables, figure, page."""
    from i2m2_med.curves import read_curves
    from i2m2_med.predictions import TablesOnDemand
    from i2m2_med.report.comparison_report import Evidence
    from i2m2_med.report.run_report import report_on
    from i2m2_med.report.statistics.refusals import refuse_tables

    run = experiment.run
    tables = TablesOnDemand({(one.paradigm, one.seed): one.read for one in made})
    marks = {(one.paradigm, one.seed): experiment.cohort.fingerprint for one in made}
    reference = run.reference_among({one.paradigm for one in made})
    refuse_tables(tables, "test", reference)
    first = next(one.model.parent for one in made if one.paradigm == reference)
    evidence = Evidence(
        tables=tables,
        manifest=experiment.manifest,
        title=run.task,
        reference=reference,
        fingerprints=marks,
        costs={(one.paradigm, one.seed): one.cost for one in made},
        examples=first / "report" / "examples",
        curves={(one.paradigm, one.seed): read_curves(one.model.parent / "report" / "curves.csv") for one in made},
    )
    return report_on(experiment.folder / "report", run, evidence)


def show(report: "WrittenReport", run: RunConfig, experiment: "Experiment") -> None:
    """The main metric per paradigm and label, AUROC beside its ceiling, and what may not be claimed."""
    from i2m2_med.report.pages.ceiling import ideal_observer
    from i2m2_med.report.run_report import main_metric, value

    metric = main_metric(run)
    ceiling = ideal_observer(run, experiment.manifest) if metric == "auroc" else {}
    labels = list(dict.fromkeys(row["label"] for row in report.rows))
    row_of = {
        (row["paradigm"], row["label"]): row for row in report.rows if row["metric"] == metric
    }  # the mean over seeds comes last
    lines: list[list[str]] = []
    for paradigm in run.paradigms:
        lines.append([paradigm, *(value(row_of[paradigm, label]) for label in labels)])
        best = ceiling.get(paradigm, {})
        if any(label in best for label in labels):
            lines.append(["  ideal observer", *(f"{best[label]:.3f}" if label in best else "" for label in labels)])
    named = "synthetic data, " if experiment.run.synthetic else ""
    shown = {"auroc": "AUROC"}.get(metric, metric)
    table(f"{run.task}: {shown} ({named}test split, 95 % intervals by patient)", ["paradigm", *labels], lines)
    for remark in [*experiment.manifest["remarks"], *report.comparison.notes]:
        say(remark)


def copy(report: Path, out: Path) -> Path:
    """The report's files in a folder of the user's."""

    shutil.copytree(report, out, dirs_exist_ok=True)
    return out
