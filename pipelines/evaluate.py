"""`i2m2 evaluate RUN`: a trained model on any split, or on other data of the same kind."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from i2m2_med.arguments import Run
from i2m2_med.console import TerminalProgress, say
from i2m2_med.workspace import workspace

from .train import show


def main(
    run: Run,
    *,
    split: Literal["train", "valid", "test"] = "test",
    root: Path | None = None,
    paradigm: str | None = None,
    out: Path | None = None,
    uri: str | None = None,
) -> dict[str, Any]:
    """Evaluate the model of a run (of a comparison: one paradigm, all of its seeds) and write its report.

    Parameters
    ----------
    split
        The split to evaluate on.
    root
        Other data of the same kind, read with the model's own training statistics (external validation).
    paradigm
        Of a comparison: the paradigm to evaluate (its reference where not said).
    out
        Where the report goes; a folder of the workspace where not said.
    uri
        The store of the run; the workspace's own where not said.
    """
    import pandas as pd

    from i2m2_med.engine.diagnosis_tables import open_models, with_root
    from i2m2_med.engine.store import store_uri
    from i2m2_med.report.build import write_report
    from i2m2_med.samples.cohort import open_cohort, prepare

    run_id, models, place, name = open_models(str(run), store_uri(workspace(), uri), paradigm, root)
    config = with_root(models[0].run, place)
    prepared = open_cohort(config, prepare(config, name, workspace(), TerminalProgress()))
    folder = out or workspace() / "runs" / f"evaluate-{run_id[:32]}-{split}-{prepared.fingerprint[:12]}"
    tables: dict[tuple[str, int], pd.DataFrame] = {}
    for model in models:
        cohort = replace(prepared, state=model.state, opened={}, augment=None)
        parts = [model.predict(cohort.samples(part), run_id) for part in dict.fromkeys(("valid", split))]
        tables[model.paradigm, model.seed] = pd.concat(parts, ignore_index=True)
    report = write_report(
        folder,
        tables=tables,
        manifest=prepared.manifest,
        title=f"{config.task}: {models[0].paradigm} on {split}",
        synthetic=config.synthetic,
        split=split,
        reference=models[0].paradigm,
        replicates=config.evaluation.bootstrap,
    )
    show(report.rows, prepared.manifest, split)
    say(f"report in {report.paths['report.html']}")
    return {"run": run_id, "rows": report.rows, "report": str(report.paths["report.html"])}
