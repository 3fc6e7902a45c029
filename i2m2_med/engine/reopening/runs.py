"""A run opened again with its data: models of one paradigm over seeds, and what the runs of its comparison predicted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from i2m2_med.config.run import RunConfig
from i2m2_med.console import Progress
from i2m2_med.curves import read_curves
from i2m2_med.engine.prediction.examples import draw_examples
from i2m2_med.engine.prediction.permuted import permuted_tables
from i2m2_med.engine.prediction.predictor import Predictor, load_model, read_portable
from i2m2_med.engine.tracking.read import FoundRun, children, download, find_run, predictions, stored_document
from i2m2_med.engine.tracking.store import Missing
from i2m2_med.engine.training.experiment import COMPARISON
from i2m2_med.errors import ConfigError, ModelError
from i2m2_med.predictions import TablesOnDemand
from i2m2_med.samples.cohort import Cohort, open_cohort
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.encoders import check_encoders
from i2m2_med.samples.preparing import is_place, prepare
from i2m2_med.workspace import workspace

Shuffled = dict[str, pd.DataFrame]
"""Prediction tables by condition (`engine/perturb.py`)."""


@dataclass(frozen=True)
class Opened:
    """A run, or a comparison, ready to be asked again."""

    run_id: str
    config: RunConfig
    models: tuple[Predictor, ...]
    """The models of one paradigm, one per seed; of a cross-validation those of every fold, fold by fold."""
    cohort: Cohort
    """The data; of a cross-validation, as a whole."""
    folds: tuple[Cohort, ...]
    """The data as each model's fold divides them; one of them outside of a cross-validation."""
    tables: Mapping[tuple[str, int], pd.DataFrame]
    """(paradigm, seed) → predictions on validation and test, of all runs of the comparison; empty for a bare model folder."""
    root: Path
    """Where the data are."""

    def shuffled(self, progress: Progress, seed: int = 0) -> list[Shuffled]:
        """Predictions of each seed under every condition, out of fold in a cross-validation; each model meets the same shuffles."""
        rounds: list[Shuffled] = []
        for number in dict.fromkeys(model.seed for model in self.models):
            each = [model for model in self.models if model.seed == number]
            what = f"shuffling inputs, seed {number}"
            tables = [
                dict(progress.track(permuted_tables(model, judged(cohort), seed), what))
                for model, cohort in zip(each, self.folds, strict=True)
            ]
            rounds.append({name: pd.concat([one[name] for one in tables], ignore_index=True) for name in tables[0]})
        return rounds

    def draw_examples(self, table: pd.DataFrame, folder: Path) -> None:
        """Draw examples of the first model's predictions into `folder`; of a cross-validation, of its first fold."""
        fold = self.models[0].run.split.fold
        own = table if fold is None else table[table["fold"] == fold]
        draw_examples(self.models[0], with_root(self.config, self.root), self.folds[0], own, folder)


def judged(cohort: Cohort) -> list[Samples]:
    """The samples that are judged: validation and test."""
    return [cohort.samples(split) for split in ("valid", "test")]


@dataclass(frozen=True)
class StoredRuns:
    """A run, or all runs of a comparison, as the store keeps them."""

    run_id: str
    config: RunConfig
    manifest: dict[str, Any]
    tables: Mapping[tuple[str, int], pd.DataFrame]
    fingerprints: dict[tuple[str, int], str]
    costs: dict[tuple[str, int], dict[str, int | float]]
    """What training took, by (paradigm, seed); empty where a run does not say."""
    examples: dict[str, Path]
    """By paradigm, the folder of its first seed's examples, where one was kept."""
    curves: dict[tuple[str, int], pd.DataFrame]
    """What training recorded after each epoch, by (paradigm, seed); empty where a run kept none."""
    provenance: dict[str, str]
    """What the run said of its origin; empty where it did not."""


def read_runs(run: str, uri: str) -> StoredRuns:
    """Read `run` (a run id; of a comparison, its finished runs) from the store, without its data or models."""
    stored_run = find_run(uri, run)
    members = finished(stored_run)
    manifest = stored_document(members[0], "manifest.json")
    marks = {(one.tags["paradigm"], int(one.tags["seed"])): one.tags["i2m2.fingerprint"] for one in members}
    costs = {(one.tags["paradigm"], int(one.tags["seed"])): one.cost for one in members}
    examples = {one.tags["paradigm"]: place for one in reversed(members) if (place := kept(one, "report/examples"))}
    curves = {
        (one.tags["paradigm"], int(one.tags["seed"])): read_curves(kept(one, "report/curves.csv")) for one in members
    }
    noted = "report/provenance.json"
    origin = stored_document(stored_run, noted) if kept(stored_run, noted) else {}
    return StoredRuns(
        run_id=stored_run.run_id,
        config=stored_config(stored_run),
        manifest=manifest,
        tables=tables_of(members),
        fingerprints=marks,
        costs=costs,
        examples=examples,
        curves=curves,
        provenance={name: str(text) for name, text in origin.items()},
    )


def kept(run: FoundRun, path: str) -> Path | None:
    """A run's artifact; None of a run that has none, as those of earlier releases have."""
    try:
        return download(run, path)
    except Missing:
        return None


def open_run_again(
    run: str, uri: str, progress: Progress, paradigm: str | None = None, root: Path | None = None
) -> Opened:
    """Open `run`: a run id of the store (of one training or of a comparison), or a model folder.

    paradigm: of a comparison; its reference where not said. root: where the data are now; a model folder does not know.
    Raises ModelError if the data are not those of the run.
    """
    run_id, models, place, name = open_models(run, uri, paradigm, root, by_fold=True)
    if any(model.members for model in models):
        raise ConfigError(
            f"{run} is the ensemble of all folds, which has seen every patient; name the run it is of, or one fold's"
        )
    members = [] if Path(run).is_dir() else finished(find_run(uri, run))
    one_round = [model for model in models if model.seed == models[0].seed]
    folds = [
        cohort_of([model for model in models if model.run.split.fold == one.run.split.fold], place, name, progress)
        for one in one_round
    ]
    pooled = any(is_pooled(one) for one in members)
    whole = open_cohort(with_root(models[0].run.of_fold(None), place), folds[0].folder) if pooled else folds[0]
    return Opened(run_id, models[0].run, tuple(models), whole, tuple(folds), tables_of(members), place)


def open_models(
    run: str, uri: str, paradigm: str | None = None, root: Path | None = None, *, by_fold: bool = False
) -> tuple[str, list[Predictor], Path, str]:
    """The run's id, the models of one paradigm (one per seed), where the data are, and the config's name.

    by_fold: of a cross-validation the models of its folds, not their ensemble, which has seen every patient.
    """
    folder = Path(run)
    if (folder / "model.json").is_file():
        if root is None:
            raise ConfigError("a model folder does not say where its data are; name them with --root FOLDER")
        return folder.name, [load_model(folder)], root, folder.name
    stored_run = find_run(uri, run)
    members = finished(stored_run)
    stored = stored_config(stored_run)
    there = list(dict.fromkeys(one.tags["paradigm"] for one in members))
    wanted = paradigm or (there[0] if len(there) == 1 else stored.evaluation.reference)
    chosen = [one for one in members if one.tags["paradigm"] == wanted]
    chosen = [part for one in chosen for part in (folds_of(one) if by_fold and is_pooled(one) else [one])]
    loaded = [load_model(download(one, "model")) for one in chosen]
    models = [replace(model, run=with_places(model.run, stored)) for model in loaded]
    if not models:
        names = ", ".join(sorted(there))
        raise ConfigError(f"run {stored_run.run_id} has no finished model of the paradigm '{wanted}'; it has {names}")
    return stored_run.run_id, models, root or Path(getattr(stored.source, "root", ".")), stored_run.name.split(" ")[0]


def finished(run: FoundRun) -> list[FoundRun]:
    """The finished runs of a comparison, or the run itself; a cross-validation's run stands for its folds'.

    Raises ModelError where a comparison has none.
    """
    below = [] if is_pooled(run) else [one for one in children(run) if one.status == "FINISHED"]
    if not below and "seed" not in run.tags:
        raise ModelError(
            f"run {run.run_id} stands for others, none of which is finished; start its command with --resume"
        )
    return below or [run]


def is_pooled(run: FoundRun) -> bool:
    """Whether the run holds the pooled predictions and the ensemble of a cross-validation, whose folds are its children."""
    return {"folds", "seed"} <= run.tags.keys() and "fold" not in run.tags and run.tags["paradigm"] != COMPARISON


def folds_of(run: FoundRun) -> list[FoundRun]:
    """The runs of a cross-validation's folds, in their order. Raises ModelError where one is not finished."""
    folds = {int(one.tags["fold"]): one for one in children(run) if one.status == "FINISHED"}
    if len(folds) < int(run.tags["folds"]):
        raise ModelError(
            f"run {run.run_id} has {len(folds)} finished of {run.tags['folds']} folds; finish it with --resume, then ask again"
        )
    return [folds[number] for number in sorted(folds)]


def stored_config(run: FoundRun) -> RunConfig:
    """The run's config as its store keeps it, held to the same rules as a file of the user's."""
    return read_portable(download(run, "config.yaml"), names_data=True)


def cohort_of(models: Sequence[Predictor], root: Path, name: str, progress: Progress) -> Cohort:
    """The data that the models were trained on, prepared again if need be."""
    config = with_root(models[0].run, root)
    cohort = open_cohort(config, prepare(config, name, workspace(), progress))
    for model in models:
        check_encoders(cohort.transform, model.encoders, "the model")
        if model.fingerprint != cohort.fingerprint:
            now, then = cohort.fingerprint[:12], model.fingerprint[:12]
            raise ModelError(
                f"the data ({now}) are not those the model was trained on ({then}); name those with --root FOLDER"
            )
    return cohort


def with_places(config: RunConfig, stored: RunConfig) -> RunConfig:
    """The run of a model folder with the places that it withholds, as its store keeps them: of the data, a split's file, joined tables."""
    places = {name: getattr(stored.source, name) for name in type(config.source).model_fields if is_place(config, name)}
    tables = {name: one.table for name, one in stored.modalities.columns.items()}
    columns = {name: one.model_copy(update={"table": tables[name]}) for name, one in config.modalities.columns.items()}
    return config.model_copy(
        update={
            "source": config.source.model_copy(update=places),
            "split": config.split.model_copy(update={"file": stored.split.file}),
            "modalities": config.modalities.model_copy(update={"columns": columns}),
        }
    )


def with_root(config: RunConfig, root: Path) -> RunConfig:
    """The same run on data that lie elsewhere."""
    return config.model_copy(update={"source": config.source.model_copy(update={"root": root})})


def tables_of(runs: Sequence[FoundRun]) -> Mapping[tuple[str, int], pd.DataFrame]:
    """(paradigm, seed) → the predictions that a run kept; of many classes read when they are asked for."""
    on_demand = TablesOnDemand(
        {(one.tags["paradigm"], int(one.tags["seed"])): partial(predictions, one) for one in runs}
    )
    tables: dict[tuple[str, int], pd.DataFrame] = {}
    for model, table in on_demand.items():
        if "log_rest" in table:
            return on_demand
        tables[model] = table
    return tables
