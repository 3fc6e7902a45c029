"""`i2m2 compare CONFIG`: all paradigms × seeds under one parent run, one table, one figure."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.arguments import Config, Overrides
from i2m2_med.config import IDEAL, RunConfig
from i2m2_med.config_reader import load_config
from i2m2_med.console import TerminalProgress, say, table

if TYPE_CHECKING:
    from i2m2_med.engine.experiment import Experiment, Trained
    from i2m2_med.report.build import Report


def main(
    config: Config, *, set_: Overrides = (), resume: bool = False, skip_bad: bool = False, out: Path | None = None
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
    from i2m2_med.engine.experiment import open_experiment
    from i2m2_med.report.judge import judge

    run, values = load_config(config, set_)
    with (
        open_experiment(
            run, values, judge(run), TerminalProgress(), what="compare", resume=resume, skip_bad=skip_bad
        ) as experiment,
        experiment.as_parent() as parent,
    ):
        made = [experiment.train(paradigm, seed) for seed in run.seeds for paradigm in run.paradigms]
        report = write(experiment, made)
        experiment.record_comparison(parent, report.rows, experiment.folder / "report")
    show(report, run, experiment)
    written = copy(experiment.folder / "report", out) if out else experiment.folder / "report"
    say(f"report in {written / 'report.html'}; parent run {parent.run_id}")
    return {
        "run": parent.run_id,
        "runs": [one.run_id for one in made],
        "rows": report.rows,
        "report": str(written / "report.html"),
    }


def write(experiment: "Experiment", made: "list[Trained]") -> "Report":
    """The comparison's report: tables, figure, page."""
    from i2m2_med.report.build import write_report
    from i2m2_med.report.judge import volume_sections

    run = experiment.run
    tables = {(one.paradigm, one.seed): one.table for one in made}
    reference = run.evaluation.reference if run.evaluation.reference in run.paradigms else run.paradigm
    return write_report(
        experiment.folder / "report",
        tables=tables,
        manifest=experiment.manifest,
        title=run.task,
        synthetic=run.synthetic,
        ideal=ideal_observer(run) or None,
        reference=reference,
        replicates=run.evaluation.bootstrap,
        fingerprints={(one.paradigm, one.seed): experiment.cohort.fingerprint for one in made},
        further=volume_sections(run, tables, reference),
    )


def ideal_observer(run: RunConfig) -> dict[str, dict[str, float]]:
    """By paradigm and label, the AUROC of an ideal observer, which simulators write beside their data; else empty."""
    path = Path(getattr(run.source, "root", ".")) / IDEAL
    if not run.synthetic or not path.exists():
        return {}
    found = json.loads(path.read_text())
    by_label: dict[str, dict[str, float]] = variant(found.get("variants", {}), run) or found["auroc"]
    return {name: {label: best[name] for label, best in by_label.items() if name in best} for name in run.paradigms}


def variant(variants: dict[str, Any], run: RunConfig) -> dict[str, Any] | None:
    """The ceiling for what this run reads, named `<profile>:<modality>+<modality>…`, if the simulator computed it."""
    read = {modality for expert in run.experts.values() for modality in expert.reads}
    profile = getattr(run.source, "profile", "")
    chosen = [key for key in variants if key.split(":")[0] == profile and set(key.split(":")[-1].split("+")) == read]
    return variants[chosen[0]] if chosen else None


def show(report: "Report", run: RunConfig, experiment: "Experiment") -> None:
    """AUROC per paradigm and label beside the ceiling, and what may not be claimed."""
    from i2m2_med.report.judge import value

    ceiling = ideal_observer(run)
    labels = list(dict.fromkeys(row["label"] for row in report.rows))
    found = {
        (row["paradigm"], row["label"]): row for row in report.rows if row["metric"] == "auroc"
    }  # the mean over seeds comes last
    lines: list[list[str]] = []
    for paradigm in run.paradigms:
        lines.append([paradigm, *(value(found[paradigm, label]) for label in labels)])
        best = ceiling.get(paradigm, {})
        if best:
            lines.append(["  ideal observer", *(f"{best[label]:.3f}" if label in best else "" for label in labels)])
    named = "synthetic data, " if run.synthetic else ""
    table(f"{run.task}: AUROC ({named}test split, 95 % intervals by patient)", ["paradigm", *labels], lines)
    for remark in [*experiment.manifest["remarks"], *report.comparison.notes]:
        say(remark)


def copy(report: Path, out: Path) -> Path:
    """The report's files in a folder of the user's."""
    import shutil

    shutil.copytree(report, out, dirs_exist_ok=True)
    return out
