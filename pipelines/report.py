"""`i2m2 report RUN`: the HTML report and model card of a run or comparison, made again from its stored predictions."""

from pathlib import Path
from typing import Any

from i2m2_med.console import say
from i2m2_med.errors import ConfigError
from i2m2_med.workspace import workspace

from .arguments import Run, expect_run


def main(
    run: Run,
    *,
    out: Path | None = None,
    split: str = "test",
    metric: str | None = None,
    reference: str | None = None,
    uri: str | None = None,
) -> dict[str, Any]:
    """Write report.html, model_card.md, tables (CSV, Parquet, Markdown) and figures. No model is run.

    Parameters
    ----------
    out
        Where it goes; a folder of the workspace where not said.
    split
        The samples that are judged: test or valid.
    metric
        What the main figure shows: auroc, average_precision, accuracy, balanced_accuracy, nll, brier or ece; where not said,
        accuracy if training chooses its epoch by it, else auroc.
    reference
        The paradigm that the others are paired with; the config's where not said.
    uri
        The store of the run; the workspace's own where not said.
    """
    expect_run(str(run), uri)
    from i2m2_med.config.run import nearest
    from i2m2_med.engine.reopening.runs import read_runs
    from i2m2_med.engine.tracking.store import store_uri
    from i2m2_med.report.comparison_report import Evidence
    from i2m2_med.report.run_report import report_on
    from i2m2_med.report.statistics.metrics import ALL_METRICS
    from i2m2_med.report.statistics.refusals import refuse_tables

    if metric and metric not in ALL_METRICS:
        raise ConfigError(f"--metric {metric} is not one of {', '.join(ALL_METRICS)}")
    recorded = read_runs(str(run), store_uri(workspace(), uri))
    config, paradigms = recorded.config, list(dict.fromkeys(paradigm for paradigm, _ in recorded.tables))
    reference = reference or (config.reference_among(paradigms) if len(paradigms) > 1 else paradigms[0])
    if reference not in paradigms:
        raise ConfigError(f"--reference {reference} is not a paradigm of this run{nearest(reference, paradigms)}")
    refuse_tables(recorded.tables, split, reference, recorded.fingerprints)
    evidence = Evidence(
        tables=recorded.tables,
        manifest=recorded.manifest,
        title=config.task,
        reference=reference,
        split=split,
        metric=metric,
        fingerprints=recorded.fingerprints,
        costs=recorded.costs,
        examples=recorded.examples.get(reference),
        curves=recorded.curves,
        provenance=recorded.provenance,
    )
    report = report_on(out or workspace() / "runs" / f"report-{recorded.run_id[:32]}", config, evidence)
    for note in report.comparison.notes:
        say(note)
    say(f"report in {report.paths['report.html']}")
    say(f"next: i2m2 diagnose {recorded.run_id[:8]} says where the signal lies")
    return {"run": recorded.run_id, "rows": report.rows, "report": str(report.paths["report.html"])}
