"""Scored studies whose labels have arrived, as a prediction table that can be judged like any other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from i2m2_med.config.run import RunConfig
from i2m2_med.engine.prediction.model_files import read_about
from i2m2_med.engine.prediction.predictor import portable
from i2m2_med.engine.reopening.arrived_labels import ArrivedLabels, read_labels
from i2m2_med.engine.reopening.runs import finished, stored_config
from i2m2_med.engine.tracking.read import FoundRun, download, find_run, predictions
from i2m2_med.errors import ModelError, SourceError
from i2m2_med.files import digest, sha256_of
from i2m2_med.predictions import KEPT, MANY, SCORED, Level, read_frame
from i2m2_med.privacy import project_key, pseudonym
from i2m2_med.samples.preparing import open_source
from i2m2_med.sources.source import Labels
from i2m2_med.workspace import workspace

FEWEST_MATCHED = 0.5
"""Labels of which a smaller share belongs to a scored study are refused: they are those of other studies."""


@dataclass(frozen=True, kw_only=True)
class ScoredStudies:
    """A model's scores with the truth, beside its predictions on validation."""

    run: FoundRun
    config: RunConfig
    valid: pd.DataFrame
    """Predictions on validation items, which operating points are chosen on."""
    scored: pd.DataFrame
    level: Level
    manifest: dict[str, Any]


def open_scored(run: str, uri: str, scores: Path, labels: Path) -> ScoredStudies:
    """Open scores and their labels. Raises SourceError or ModelError where they don't belong to each other or to `run`."""
    table = read_frame(scores)
    member = scored_by(find_run(uri, run), table)
    config = stored_config(member)
    about = read_about(download(member, "model"), config)
    known = Labels(tuple(about["labels"]), tuple(about["classes"]))
    check_labels(table, known, scores.name)
    arrived = read_labels(labels, known, open_source(config))
    level = level_of(arrived, table, scores.name)
    scored, flow = with_truth(table.filter((pl.col("level") == level) | pl.col("label").is_null()), arrived, known)
    kept = predictions(member)
    if arrived.scores is None:  # labels that arrived as classes are no soft scores
        kept = kept.drop(columns="score", errors="ignore")
    manifest = manifest_of(config, scored, flow, arrived, [scores, labels])
    return ScoredStudies(
        run=member, config=config, valid=kept[kept["split"] == "valid"], scored=scored, level=level, manifest=manifest
    )


def scored_by(stored_run: FoundRun, table: pl.DataFrame) -> FoundRun:
    """Return the run, of a comparison's runs, whose model made the scores. Raises ModelError where none or several may have."""
    runs = finished(stored_run)
    names, marks = (set(table[column].drop_nulls()) for column in ("model", "config_sha"))
    if len(names) != 1 or len(marks) != 1:
        raise ModelError(f"the scores are of {len(names)} models; judge one at a time")
    if named := [run for run in runs if run.run_id in names]:
        return named[0]
    alike = [run for run in runs if marks & config_marks(run)]
    if len(alike) != 1:
        why = "none of its models" if not alike else f"{len(alike)} of its models (seeds); name one of their runs"
        raise ModelError(
            f"the scores come from model {next(iter(names))}; of run {stored_run.run_id} that may be {why}"
        )
    return alike[0]


def config_marks(run: FoundRun) -> set[str]:
    """Return the hash of a run's settings, as it was recorded and as it is now that settings have been added."""
    now = digest(portable(stored_config(run)) | {"paradigm": run.tags["paradigm"]})[:12]
    return {now, *predictions(run)["config_sha"].dropna().unique()}


def check_labels(table: pl.DataFrame, known: Labels, name: str) -> None:
    """Raise SourceError where scores have other labels or classes than the model."""
    there = set(table["label"].drop_nulls())
    largest: Any = table["class"].max()
    classes = 1 + (largest or 0)  # of many classes the last one need not be among those that rows are kept of
    fits = classes <= len(known.classes) if len(known.classes) > MANY else classes == len(known.classes)
    if there != set(known.names) or not fits:
        raise SourceError(
            f"{name} has the labels {', '.join(sorted(there)) or 'none'}; the model's are {', '.join(known.names)} "
            f"with {len(known.classes)} classes"
        )


def level_of(arrived: ArrivedLabels, table: pl.DataFrame, name: str) -> Level:
    """Return what is judged: items where labels name them, else studies as a whole, or studies of one item each."""
    if arrived.table["item"].is_not_null().any():
        return "item"
    answered = table.filter(pl.col("label").is_not_null())
    if (answered["level"] == "study").any():
        return "study"
    if answered.select("study", "item").unique()["study"].is_duplicated().any():
        raise SourceError(
            f"the labels are of studies, and {name} holds several items per study and no rows of studies as a whole; name "
            "items in the labels, or score with `evaluation.volumes`"
        )
    return "item"


def with_truth(table: pl.DataFrame, arrived: ArrivedLabels, known: Labels) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Return the rows of one level with patient, split and target, and the flow from scored to judged samples.

    A study that was refused as a whole is a refused sample wherever it is labelled, so that it counts as unanswered.
    """
    by_item = arrived.table["item"].is_not_null().any()
    on = ["study", "item"] if by_item else ["study"]
    truth = arrived.table if by_item else arrived.table.drop("item")
    answered, refused = table.filter(pl.col("label").is_not_null()), table.filter(pl.col("label").is_null())
    samples = answered.select(on).unique()
    silent = truth.join(refused.select("study").unique(), on="study", how="semi")
    matched = truth.join(samples, on=on, how="semi")
    count = len(matched) + len(silent)
    if count < FEWEST_MATCHED * len(truth):
        raise SourceError(
            f"of {len(truth)} labelled studies or items {count} were scored: the labels are of other studies; "
            "`study` has to be the name of the study's folder"
        )
    every = pl.concat(
        [answered.join(matched.select(on), on=on, how="semi"), refused_rows(silent, refused, known)], how="diagonal"
    )
    if arrived.scores is not None:
        score = arrived.scores.with_columns(
            pl.col("class").cast(every["class"].dtype), pl.col("score").cast(pl.Float64)
        )
        every = every.drop("score", strict=False).join(
            score, on=["study", "label", "class"], how="left", maintain_order="left"
        )
        every = every.with_columns(pl.col("score").fill_null(0.0))
    judged = add_truth(every, truth, arrived.names, on)
    flow = [
        {"step": "samples scored", "kept": len(samples) + refused["study"].n_unique(), "dropped": 0, "why": ""},
        {"step": "labelled", "kept": count, "dropped": len(samples) - len(matched), "why": "no label has arrived"},
        {"step": "labels used", "kept": count, "dropped": len(truth) - count, "why": "labels of what was not scored"},
        {"step": "answered", "kept": len(matched), "dropped": len(silent), "why": "refused while scoring"},
    ]
    return judged.to_pandas(), flow


def refused_rows(silent: pl.DataFrame, refused: pl.DataFrame, known: Labels) -> pl.DataFrame:
    """Return rows per label and class, without probabilities, of samples whose study was refused."""
    about = refused.drop("label", "class", "item", "level").unique("study")
    item = pl.col("item") if "item" in silent.columns else pl.lit(None, pl.Int64)
    n_classes = len(known.classes)
    rows_each = pl.DataFrame(
        {"class": range(n_classes if n_classes <= MANY else KEPT)}
    )  # of many classes any few: none has a probability
    cells = pl.DataFrame({"label": known.names}).join(rows_each, how="cross")
    level = "item" if "item" in silent.columns else "study"
    rows = silent.select("study", item.alias("item"), level=pl.lit(level)).join(cells, how="cross")
    return rows.cast({"class": pl.Int16}).join(about, on="study", how="left").select(refused.columns)


def add_truth(rows: pl.DataFrame, truth: pl.DataFrame, names: Sequence[str], on: list[str]) -> pl.DataFrame:
    """Return rows with patient, split and target. A study whose patient is not said is a patient of its own."""
    key = project_key(workspace())
    target = truth.unpivot(names, index=[*on, "patient"], variable_name="label", value_name="target")
    joined = rows.join(target, on=[*on, "label"], how="left", maintain_order="left")
    who = truth.select("study", own="patient").unique()
    joined = joined.join(who, on="study", how="left", maintain_order="left")
    studies = {name: pseudonym(key, "scored study", name) for name in joined["study"].unique()}
    patients = {name: pseudonym(key, "patient", name) for name in joined["own"].drop_nulls().unique()}
    joined = joined.with_columns(
        target=pl.col("target").fill_null(-1),
        split=pl.lit(SCORED),
        study=pl.col("study").replace_strict(studies, return_dtype=pl.String),
        patient=pl.col("own").replace_strict(patients, default=None, return_dtype=pl.String),
    )
    return joined.with_columns(patient=pl.coalesce("patient", "study")).drop("own")


def manifest_of(
    config: RunConfig, scored: pd.DataFrame, flow: list[dict[str, Any]], arrived: ArrivedLabels, files: Sequence[Path]
) -> dict[str, Any]:
    """Return the manifest of what is judged: files by content, flow, class counts, and what may not be claimed."""
    listed = [{"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in files]
    one = scored.drop_duplicates(["study", "item", "label"])
    counts = one.groupby("label")["target"].value_counts().unstack(fill_value=0)
    classes = {
        str(label): {str(cls): int(n) for cls, n in row.items() if cls != -1} for label, row in counts.iterrows()
    }
    unknown = {str(label): int(row.get(-1, 0)) for label, row in counts.iterrows()}
    patients, studies = one["patient"].nunique(), one["study"].nunique()
    samples = len(one.drop_duplicates(["study", "item"]))
    split = {"patients": patients, "studies": studies, "samples": samples, "classes": classes, "unknown": unknown}
    return {
        "task": config.task,
        "fingerprint": digest(listed),
        "files": listed,
        "flow": flow,
        "splits": {SCORED: split},
        "remarks": [*remarks(config, arrived), *arrived.notes],
        "settings": {"source": config.source.model_dump(mode="json", exclude={"root"})},
    }


def remarks(config: RunConfig, arrived: ArrivedLabels) -> list[str]:
    """Return what may not be claimed from the scored studies."""
    sentences = ["The model was trained on synthetic data."] if config.synthetic else []
    if arrived.table["patient"].is_null().any():
        sentences.append(
            "The labels name no patient for some or all studies: each such study counts as a patient of its own."
        )
    return sentences
