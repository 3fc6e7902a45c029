"""`i2m2 evaluate RUN`: a trained model on any split, or on other data of the same kind."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from i2m2_med.arguments import Run
from i2m2_med.console import TerminalProgress, say
from i2m2_med.workspace import workspace

from .train import show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from i2m2_med.engine.artifact import Predictor
    from i2m2_med.samples.dataset import Samples
    from i2m2_med.samples.shifts import Shift


def main(
    run: Run,
    *,
    split: Literal["train", "valid", "test"] = "test",
    root: Path | None = None,
    paradigm: str | None = None,
    out: Path | None = None,
    uri: str | None = None,
    shifts: str | None = None,
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
    shifts
        A suite of shifts (knee, mimic3) or one of them (knee.noise): severity curves beside the report.
    """
    import pandas as pd

    from i2m2_med.engine.diagnosis_tables import open_models, with_root
    from i2m2_med.engine.store import store_uri
    from i2m2_med.report.build import write_report
    from i2m2_med.samples.cohort import open_cohort, prepare
    from i2m2_med.samples.shifts import suite_for

    run_id, models, place, name = open_models(str(run), store_uri(workspace(), uri), paradigm, root)
    config = with_root(models[0].run, place)
    suite = suite_for(shifts, config.source.model_dump()["name"]) if shifts else {}
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
    found = {"run": run_id, "rows": report.rows, "report": str(report.paths["report.html"])}
    if suite:
        samples = [replace(prepared, state=one.state, opened={}, augment=None).samples(split) for one in models]
        found |= under_shifts(models, samples, suite, prepared.manifest, folder)
    return found


def under_shifts(
    models: "list[Predictor]",
    samples: "list[Samples]",
    suite: "Mapping[str, Shift]",
    manifest: dict[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """The models on shifted samples: severity curves, areas under them, and groups apart."""
    from i2m2_med.engine.shifted_tables import group_predictions, shifted_predictions
    from i2m2_med.report.shifts import Shifted, group_table, severity_table
    from i2m2_med.report.shifts_page import write_shifts
    from i2m2_med.report.table import read_predictions

    run = models[0].run
    unshifted = [read_predictions(model.predict(one)) for model, one in zip(models, samples, strict=True)]
    shifted: list[Shifted] = []
    skipped: list[str] = []
    for one in TerminalProgress().track(shifted_predictions(models, samples, suite), "shifting", None):
        if one.skipped:
            skipped.append(one.skipped)
            say(one.skipped)
        else:
            seeds = [read_predictions(table) for table in one.tables]
            shifted.append(Shifted(one.name, one.step, one.severity, suite[one.name].unit, seeds))
    apart = group_predictions(models, samples)
    groups = group_table({name: [read_predictions(table) for table in tables] for name, tables in apart.items()})
    values, areas = severity_table(unshifted, shifted)
    title = f"{run.task}: {models[0].paradigm} under shifts"
    paths = write_shifts(
        folder, values, areas, groups, title=title, manifest=manifest, synthetic=run.synthetic, skipped=skipped
    )
    say(f"shifts in {paths['shifts.html']}")
    rows = [
        row for row in areas.astype(object).where(areas.notna(), None).to_dict("records") if row["metric"] == "auroc"
    ]
    return {"shifts": rows, "shifts_report": str(paths["shifts.html"])}
