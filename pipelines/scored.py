"""`i2m2 evaluate RUN --scores … --labels …`: studies that were scored, judged once their labels have arrived."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.console import say
from i2m2_med.errors import ConfigError
from i2m2_med.workspace import workspace

from .train import show

if TYPE_CHECKING:
    import pandas as pd

    from i2m2_med.engine.reopening.scored_studies import ScoredStudies


def judge_scores(
    run: str, scores: Path | None, labels: Path | None, out: Path | None, uri: str | None
) -> dict[str, Any]:
    """Write the report of scored studies: the metrics, intervals and figures of any other evaluation."""
    from i2m2_med.engine.reopening.scored_studies import open_scored
    from i2m2_med.engine.tracking.store import store_uri
    from i2m2_med.predictions import SCORED
    from i2m2_med.report.comparison_report import Evidence
    from i2m2_med.report.run_report import report_on
    from i2m2_med.report.statistics.refusals import refuse_tables

    if scores is None or labels is None:
        raise ConfigError(
            "--scores and --labels belong together: the scores of `i2m2 score`, and the labels of their studies"
        )
    studies = open_scored(run, store_uri(workspace(), uri), scores, labels)
    paradigm = studies.run.tags["paradigm"]
    tables = {(paradigm, int(studies.run.tags["seed"])): with_validation(studies)}
    refuse_tables(tables, SCORED, paradigm)
    name = f"evaluate-{studies.run.run_id[:32]}-{SCORED}-{studies.manifest['fingerprint'][:12]}"
    title = f"{studies.config.task}: {paradigm} on scored studies"
    evidence = Evidence(tables=tables, manifest=studies.manifest, title=title, reference=paradigm, split=SCORED)
    report = report_on(out or workspace() / "runs" / name, studies.config, evidence)
    show(report.rows, studies.manifest, SCORED)
    for step in studies.manifest["flow"]:
        say(
            f"{step['step']}: {step['kept']}"
            + (f", without {step['dropped']} ({step['why']})" if step["dropped"] else "")
        )
    say(f"report in {report.paths['report.html']}; next: i2m2 diagnose {run} says what the model reads")
    flow = {step["step"]: step["kept"] for step in studies.manifest["flow"]}
    return {"run": studies.run.run_id, "rows": report.rows, "flow": flow, "report": str(report.paths["report.html"])}


def with_validation(studies: "ScoredStudies") -> "pd.DataFrame":
    """Return the table that is judged: validation samples, on which operating points are chosen, and the scored ones."""
    import pandas as pd

    from i2m2_med.report.statistics.volumes import by_volume

    how = studies.config.evaluation.volumes
    valid = by_volume(studies.valid, how) if studies.level == "study" and how != "none" else studies.valid
    return pd.concat([valid, studies.scored], ignore_index=True)
