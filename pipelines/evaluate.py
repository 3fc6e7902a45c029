"""`i2m2 evaluate RUN`: a trained model on any split, on other data of the same kind, or on studies scored before."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from i2m2_med.console import TerminalProgress, say
from i2m2_med.errors import ConfigError
from i2m2_med.workspace import workspace

from .arguments import Run, expect_run
from .train import show

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from i2m2_med.engine.reopening.external_data import OtherData
    from i2m2_med.samples.shifts import Shift


def main(
    run: Run,
    *,
    split: Literal["train", "valid", "test", "rest"] = "test",
    root: Path | None = None,
    paradigm: str | None = None,
    out: Path | None = None,
    uri: str | None = None,
    shifts: str | None = None,
    without: str | None = None,
    scores: Path | None = None,
    labels: Path | None = None,
) -> dict[str, Any]:
    """Evaluate the model of a run (of a comparison: one paradigm, all of its seeds) and write its report.

    Parameters
    ----------
    split
        The split to evaluate on; rest: the patients beside a group that was left out of training (`split.test_group`).
    root
        Other data of the same kind, read with the model's own training statistics (external validation).
    paradigm
        Of a comparison: the paradigm to evaluate (its reference where not said).
    out
        Where the report goes; a folder of the workspace where not said.
    uri
        The store of the run; the workspace's own where not said.
    shifts
        The data set's suite of shifts, or one of them (SUITE.SHIFT): severity curves beside the report.
    without
        A modality, or several with commas between: what the model is worth where they are missing, calibrated as for such studies.
    scores
        A `scores.parquet` of `i2m2 score`: its studies are judged by the labels that have arrived since; no model is run.
    labels
        CSV with the columns study (the name of its folder), item and patient (where they are known), and one per label (class
        names or indices); or the file of labels that the data set hands out (JSON).
    """
    expect_run(str(run), uri)
    if scores or labels:
        from .scored import judge_scores

        refuse_beside(split, root=root, paradigm=paradigm, shifts=shifts, without=without)
        return judge_scores(str(run), scores, labels, out, uri)
    from i2m2_med.engine.reopening.external_data import open_data, open_models_for
    from i2m2_med.engine.tracking.provenance import origin
    from i2m2_med.engine.tracking.store import store_uri
    from i2m2_med.report.comparison_report import Evidence
    from i2m2_med.report.run_report import report_on
    from i2m2_med.report.statistics.refusals import refuse_tables
    from i2m2_med.samples.preparing import open_source
    from i2m2_med.samples.shifts import suite_for

    trained = open_models_for(str(run), store_uri(workspace(), uri), paradigm, root)
    lost = [name.strip() for name in without.split(",")] if without else []
    suite = suite_for(shifts, open_source(trained.config)) if shifts else {}
    opened = open_data(trained, TerminalProgress())
    taken = f"-without-{'-'.join(lost)}" if lost else ""
    name = f"evaluate-{opened.run_id[:32]}-{split}-{opened.cohort.fingerprint[:12]}{taken}"
    folder = out or workspace() / "runs" / name
    tables, reference = opened.predictions(split, lost), opened.models[0].paradigm
    refuse_tables(tables, split, reference)
    title = f"{opened.config.task}: {reference} on {split}{taken.replace('-', ' ')}"
    evidence = Evidence(
        tables=tables,
        manifest=opened.cohort.manifest,
        title=title,
        reference=reference,
        split=split,
        provenance=origin(opened.run_id),
    )
    report = report_on(folder, opened.config, evidence)
    show(report.rows, opened.cohort.manifest, split)
    say(f"report in {report.paths['report.html']}")
    result: dict[str, Any] = {"run": opened.run_id, "rows": report.rows, "report": str(report.paths["report.html"])}
    result |= under_shifts(opened, tables, split, suite, folder) if suite else {}
    say(f"next: i2m2 verify {run} proves its numbers")
    return result


def refuse_beside(split: str, **asked: object) -> None:
    """Raise ConfigError where something is asked for that scores can't answer: no model is run."""

    if lost := [f"--{name}" for name, value in asked.items() if value] + (["--split"] if split != "test" else []):
        raise ConfigError(f"{', '.join(lost)} needs the model itself and can't be given beside --scores and --labels")


def under_shifts(
    opened: "OtherData",
    tables: "dict[tuple[str, int], pd.DataFrame]",
    split: str,
    suite: "Mapping[str, Shift]",
    folder: Path,
) -> dict[str, Any]:
    """The models on shifted samples: severity curves, areas under them, and groups apart or left out."""
    from i2m2_med.engine.prediction.shifted import group_predictions, shifted_predictions
    from i2m2_med.engine.tracking.provenance import origin
    from i2m2_med.report.pages.left_out import held_apart
    from i2m2_med.report.pages.shifts import write_shifts
    from i2m2_med.report.statistics.shifts import Shifted, shift_tables
    from i2m2_med.report.statistics.table import read_predictions

    manifest, samples = opened.cohort.manifest, opened.samples(split)
    shifted: list[Shifted] = []
    skipped: list[str] = []
    for one in TerminalProgress().track(shifted_predictions(opened.models, samples, suite), "shifting", None):
        if one.skipped:
            skipped.append(one.skipped)
            say(one.skipped)
        else:
            seeds = [read_predictions(table) for table in one.tables]
            shifted.append(Shifted(one.name, one.step, one.severity, suite[one.name].unit, seeds))
    unshifted = [table[table["split"] == split] for table in tables.values()]
    shift_results = shift_tables(
        unshifted, shifted, group_predictions(opened.models, samples) | held_apart(tables.values(), manifest)
    )
    title = f"{opened.config.task}: {opened.models[0].paradigm} under shifts"
    paths = write_shifts(
        folder,
        *shift_results,
        title=title,
        manifest=manifest,
        synthetic=opened.config.synthetic or manifest["synthetic"],
        skipped=skipped,
        provenance=origin(opened.run_id),
    )
    say(f"shifts in {paths['shifts.html']}")
    areas = shift_results[1][shift_results[1]["metric"] == "auroc"]
    rows = areas.astype(object).where(areas.notna(), None).to_dict("records")
    return {"shifts": rows, "shifts_report": str(paths["shifts.html"])}
