"""`i2m2 diagnose RUN`: is the signal within the modalities, or between them?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.console import TerminalProgress, say, table
from i2m2_med.errors import ConfigError
from i2m2_med.workspace import workspace

from .arguments import Run, expect_run

if TYPE_CHECKING:
    from i2m2_med.engine.reopening.runs import Opened
    from i2m2_med.report.pages.diagnosis import Diagnosis
    from i2m2_med.report.statistics.table import Predictions


def main(
    run: Run,
    *,
    paradigm: str | None = None,
    out: Path | None = None,
    root: Path | None = None,
    uri: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Shuffle, drop and decompose what a trained model reads, and say in one sentence where the signal lies.

    Parameters
    ----------
    paradigm
        Of a comparison: the paradigm to diagnose (its reference, I2M2, where not said), with all of its seeds.
    out
        Where the page and tables go; a folder of the workspace where not said.
    root
        Where the data are now, if not where the run read them (a model folder does not know).
    uri
        The store of the run; the workspace's own where not said.
    seed
        Of the shuffles.
    """
    expect_run(str(run), uri)
    from i2m2_med.engine.reopening.runs import open_run_again
    from i2m2_med.engine.tracking.store import store_uri
    from i2m2_med.report.pages.ceiling import ideal_information
    from i2m2_med.report.statistics.refusals import refuse_splits

    opened = open_run_again(str(run), store_uri(workspace(), uri), TerminalProgress(), paradigm, root)
    modalities = list(opened.models[0].modalities)
    if len(modalities) < 2:
        raise ConfigError(f"{run} reads {modalities[0]} only: there is nothing between modalities to find")
    refuse_splits(opened.cohort.manifest)
    folder = out or workspace() / "runs" / f"diagnose-{Path(opened.run_id).name[:32]}-{opened.models[0].paradigm}"
    ideal = ideal_information(opened.config, opened.cohort.manifest)
    diagnosis = diagnose(opened, folder, seed, ideal)
    show(diagnosis, ideal)
    say(f"next: i2m2 evaluate {run} judges it on another split, or under --shifts")
    found = diagnosis.tables["dependence"].astype(object)
    return {
        "run": opened.run_id,
        "verdict": diagnosis.verdicts["overall"],
        "ideal": ideal,
        "labels": diagnosis.verdicts,
        "rows": found.where(found.notna(), None).to_dict("records"),
        "report": str(diagnosis.paths["diagnosis.html"]),
    }


def show(diagnosis: "Diagnosis", ideal: str) -> None:
    """Print the verdicts and where the page is; of one label its own only, which the mean over labels would repeat."""
    verdicts = [list(pair) for pair in diagnosis.verdicts.items()][-1 if len(diagnosis.verdicts) == 2 else 0 :]
    table("Where the signal lies (test split)", ["label", "verdict"], verdicts)
    if ideal:
        say(ideal)
    say(f"page in {diagnosis.paths['diagnosis.html']}")


def diagnose(opened: "Opened", folder: Path, seed: int, ideal: str) -> "Diagnosis":
    """The diagnosis of one paradigm with all of its seeds. ideal: what an ideal observer gets, in a sentence."""
    from i2m2_med.engine.tracking.provenance import origin
    from i2m2_med.report.dependence.conditions import PAIRED
    from i2m2_med.report.pages.diagnosis import write_diagnosis
    from i2m2_med.report.statistics.table import read_predictions

    shuffled = opened.shuffled(TerminalProgress(), seed)
    opened.draw_examples(shuffled[0][PAIRED], folder / "examples")
    seeds = [{name: read_predictions(one) for name, one in tables.items()} for tables in shuffled]
    first = opened.models[0]
    return write_diagnosis(
        folder,
        seeds=seeds,
        reads=first.model.reads,
        manifest=opened.cohort.manifest,
        title=f"{first.run.task}: what {first.paradigm} reads",
        synthetic=first.run.synthetic or opened.cohort.manifest["synthetic"],
        alone=trained_alone(opened),
        trained=first.run.training.mode,
        ideal=ideal,
        examples=folder / "examples",
        paradigm=str(first.paradigm),
        provenance=origin(opened.run_id),
        classes=opened.cohort.labels.classes,
    )


def trained_alone(opened: "Opened") -> "dict[str, Predictions]":
    """By modality: what a model said that was trained on it alone, where the comparison has one."""
    from i2m2_med.report.statistics.table import read_predictions

    by_modality: dict[str, Predictions] = {}
    for (paradigm, _), one in opened.tables.items():
        reads = {opened.config.experts[name].reads for name in opened.config.paradigms[paradigm].experts}
        if len(reads) == 1 and len(only := next(iter(reads))) == 1:
            by_modality.setdefault(only[0], read_predictions(one[one["split"].isin(["valid", "test"])]))
    return by_modality
