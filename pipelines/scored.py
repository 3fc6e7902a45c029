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
    from i2m2_med.engine.reopening.scored_studies import SCORED, open_scored
    from i2m2_med.engine.tracking.store import store_uri
    from i2m2_med.report.comparison_report import Evidence
    from i2m2_med.report.run_report import report_on
    from i2m2_med.report.statistics.refusals import refuse_tables

    if scores is None or labels is None:
        raise ConfigError(
            "--scores and --labels belong together: the scores of `i2m2 score`, and the labels of their studies"
        )
    found = open_scored(run, store_uri(workspace(), uri), scores, labels)
    paradigm = found.run.tags["paradigm"]
    tables = {(paradigm, int(found.run.tags["seed"])): with_validation(found)}
    refuse_tables(tables, SCORED, paradigm)
    name = f"evaluate-{found.run.run_id[:32]}-{SCORED}-{found.manifest['fingerprint'][:12]}"
    title = f"{found.config.task}: {paradigm} on scored studies"
    evidence = Evidence(tables=tables, manifest=found.manifest, title=title, reference=paradigm, split=SCORED)
    report = report_on(out or workspace() / "runs" / name, found.config, evidence)
    show(report.rows, found.manifest, SCORED)
    for step in found.manifest["flow"]:
        say(
            f"{step['step']}: {step['kept']}"
            + (f", without {step['dropped']} ({step['why']})" if step["dropped"] else "")
        )
    say(f"report in {report.paths['report.html']}")
    flow = {step["step"]: step["kept"] for step in found.manifest["flow"]}
    return {"run": found.run.run_id, "rows": report.rows, "flow": flow, "report": str(report.paths["report.html"])}


def with_validation(found: "ScoredStudies") -> "pd.DataFrame":
    """Return the table that is judged: validation samples, on which operating points are chosen, and the scored ones."""
    import pandas as pd

    from i2m2_med.report.statistics.volumes import by_volume

    how = found.config.evaluation.volumes
    valid = by_volume(found.valid, how) if found.level == "study" and how != "none" else found.valid
    return pd.concat([valid, found.scored], ignore_index=True)
