"""`i2m2 score STUDIES OUT --model …`: one row per study, label and class, or one refusal with its reason."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from i2m2_med.console import TerminalProgress, say, table
from i2m2_med.errors import UserError
from i2m2_med.object_store import ObjectPath, located
from i2m2_med.scoring.options import Extra, ModelOptions, WatchOptions, WorkOptions
from i2m2_med.signals import ends_within

if TYPE_CHECKING:
    from i2m2_med.scoring.job import Job
    from i2m2_med.scoring.open_model import ModelFolder
    from i2m2_med.scoring.run import Summary
    from i2m2_med.scoring.workers.engine import Engine

ORDERLY = 1.5
"""Seconds that stopping may take before the process ends itself: each result is a whole file, so nothing is lost."""


def main(
    studies: str = "",
    out: str | None = None,
    *,
    model: ModelOptions = ModelOptions(),  # noqa: B008  (frozen)
    work: WorkOptions = WorkOptions(),  # noqa: B008
    arriving: WatchOptions = WatchOptions(),  # noqa: B008
    extra: Annotated[tuple[Extra, ...], Parameter(negative=())] = (),
    expects: Annotated[bool, Parameter(negative=())] = False,
) -> dict[str, Any]:
    """Score study folders; start it again after an interruption, or with new studies: what is done is not done twice.

    `i2m2 score merge OUT` puts together what `--num-parts` shared out. Exit code 2: finished, but studies were refused.

    Parameters
    ----------
    studies
        A folder of study folders, a manifest (CSV or Parquet with the column `study`), or a glob in quotes; of a model that was
        trained on a table, also a table with the same columns; of one on pictures with texts, also an official list (JSON). Or
        `s3://BUCKET/FOLDER` of study folders.
    out
        Where `scores.parquet`, `scores.csv` and a `studies/<study>.json` each are written; `s3://BUCKET/FOLDER` too.
    extra
        Write into `extras/<study>/`: `magnitude` (NIfTI), `picture` (PNG sheet), `saliency` (NIfTI per label), `dicom` (structured report).
    expects
        Score nothing: say how a study of this model has to look.
    """
    if expects:
        return show_expected(model)
    if not studies or out is None:
        raise UserError("say what to score and where to write: i2m2 score STUDIES OUT --model …")
    where, _ = located(out), located(studies)  # at once: an address that can't be
    folder = opened(model)
    engine = make_engine(work, folder.folder)
    job = make_job(folder, where, model, extra)
    from i2m2_med.parts import Part
    from i2m2_med.scoring.run import score, source_of
    from i2m2_med.scoring.studies import find_studies

    part = Part(work.part_id, work.num_parts)
    if arriving.watch:
        from i2m2_med.scoring.watch import watch_studies

        return show(watch_studies(job, studies, engine, part, arriving.poll, arriving.settle), where)
    with ends_within(ORDERLY):
        return show(
            score(job, find_studies(studies, where, source_of(folder.folder)), engine, part, TerminalProgress()), where
        )


def opened(model: ModelOptions) -> "ModelFolder":
    """Return the model folder that the options name."""
    from i2m2_med.scoring.open_model import open_model

    if model.model is None:
        raise UserError("--model is missing: name a run, models:/name@alias, a bundle, or a model folder")
    return open_model(model.model, model.uri, model.trust)


def show_expected(model: ModelOptions) -> dict[str, Any]:
    """Print how a study of a model has to look, and return it for `--json`."""
    from i2m2_med.scoring.run import expected_of

    expected = expected_of(opened(model).folder)
    say(expected)
    return {"expects": expected}


def merge_parts(out: Path) -> dict[str, Any]:
    """Put together what `--num-parts` shared out. Exit code 2: whole, but studies were refused.

    Parameters
    ----------
    out
        The folder that every part wrote into.
    """
    from i2m2_med.scoring.run import merge

    return show(merge(out), out)


def make_engine(work: WorkOptions, model: Path) -> "Engine":
    """Return the engine that scores. Worker processes import what they need from now on, while this one does."""
    if work.engine == "ray":
        from i2m2_med.scoring.workers.ray import ray_engine

        return ray_engine(work.processes, 1 if work.readers is None else work.readers, work.timeout)
    if work.readers != 0 or work.processes > 1:
        from i2m2_med.scoring.workers.forkserver import modules_of, start_method

        start_method(modules_of(model))
    from i2m2_med.scoring.workers.engine import default_readers, local_engine

    readers = default_readers(work.processes) if work.readers is None else work.readers
    return local_engine(readers, work.processes, work.timeout)


def make_job(model: "ModelFolder", out: Path | ObjectPath, options: ModelOptions, extra: tuple[Extra, ...]) -> "Job":
    """Return the settings of the run."""
    from i2m2_med.engine.prediction.seed import best_device
    from i2m2_med.scoring.job import Job

    device = best_device() if options.device == "auto" else options.device
    extras = tuple(sorted(extra))
    return Job(
        model.folder,
        model.name,
        model.sha,
        out.absolute() if isinstance(out, Path) else out,
        device,
        threads=options.threads,
        backend=options.backend,
        budget=options.budget,
        together=options.together or (64 if device.startswith("cuda") else 1),
        extras=extras,
        fetched_from=model.fetched_from,
    )


def show(summary: "Summary", out: Path | ObjectPath) -> dict[str, Any]:
    """Print the summary for a person and return it for `--json`."""
    before = f", {summary.same} of them before" if summary.same else ""
    warned = f", {summary.warned} with warnings" if summary.warned else ""
    say(
        f"{summary.studies} studies: {summary.ok} scored{warned}, {summary.refused} refused{before}; {summary.seconds:.1f} s"
    )
    if of := summary.spared:
        share = f"{1 - of['flops'] / of['of']:.0%} of the operations spared" if of["of"] else "no expert has operations"
        say(f"{of['stopped']} of {of['items']} items were decided before the last expert was asked: {share}")
    if summary.warnings:
        table("Warnings", ["studies", "warning"], [[count, text] for text, count in summary.warnings])
    if summary.reasons:
        table("Refused", ["studies", "why"], [[count, why] for why, count in summary.reasons])
    if summary.results is not None:
        file, count = summary.results
        say(f"{count} of them in {out / file}, as the data set's own evaluation takes them")
    say(
        f"scores in {out / 'scores.csv'}; next: i2m2 evaluate RUN --scores {out / 'scores.parquet'} --labels LABELS.csv, once labels arrive"
    )
    return summary.as_json(out)
