"""A run opened again with its data: models of one paradigm over seeds, and what the runs of its comparison predicted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from i2m2_med.config.run import RunConfig
from i2m2_med.console import Progress
from i2m2_med.engine.prediction.permuted import permuted_tables
from i2m2_med.engine.prediction.predictor import Predictor, load_model, read_portable
from i2m2_med.engine.tracking.read import FoundRun, children, download, find_run, predictions, stored_document
from i2m2_med.errors import ConfigError, ModelError
from i2m2_med.samples.cohort import Cohort, open_cohort, prepare
from i2m2_med.samples.dataset import Samples
from i2m2_med.workspace import workspace

Shuffled = dict[str, pd.DataFrame]
"""Prediction tables by condition (`engine/perturb.py`)."""


@dataclass(frozen=True)
class Opened:
    """A run, or a comparison, ready to be asked again."""

    run_id: str
    config: RunConfig
    models: tuple[Predictor, ...]
    """The models of one paradigm, one per seed."""
    cohort: Cohort
    tables: dict[tuple[str, int], pd.DataFrame]
    """(paradigm, seed) → predictions on validation and test, of all runs of the comparison; empty for a bare model folder."""

    @property
    def splits(self) -> list[Samples]:
        """The samples that are judged: validation and test."""
        return [self.cohort.samples(split) for split in ("valid", "test")]

    def shuffled(self, progress: Progress, seed: int = 0) -> list[Shuffled]:
        """Every model's predictions under every condition; each model meets the same shuffles."""
        return [
            dict(progress.track(permuted_tables(model, self.splits, seed), f"shuffling inputs, seed {model.seed}"))
            for model in self.models
        ]


@dataclass(frozen=True)
class StoredRuns:
    """A run, or all runs of a comparison, as the store keeps them."""

    run_id: str
    config: RunConfig
    manifest: dict[str, Any]
    tables: dict[tuple[str, int], pd.DataFrame]
    fingerprints: dict[tuple[str, int], str]
    costs: dict[tuple[str, int], dict[str, float]]
    """What training took, by (paradigm, seed); empty where a run does not say."""


def read_runs(run: str, uri: str) -> StoredRuns:
    """Read `run` (a run id; of a comparison, its finished runs) from the store, without its data or models."""
    stored_run = find_run(uri, run)
    members = [one for one in children(stored_run) if one.status == "FINISHED"] or [stored_run]
    manifest = stored_document(members[0], "manifest.json")
    marks = {(one.tags["paradigm"], int(one.tags["seed"])): one.tags["i2m2.fingerprint"] for one in members}
    costs = {(one.tags["paradigm"], int(one.tags["seed"])): one.cost for one in members}
    return StoredRuns(stored_run.run_id, stored_config(stored_run), manifest, tables_of(members), marks, costs)


def open_run_again(
    run: str, uri: str, progress: Progress, paradigm: str | None = None, root: Path | None = None
) -> Opened:
    """Open `run`: a run id of the store (of one training or of a comparison), or a model folder.

    paradigm: of a comparison; its reference where not said. root: where the data are now; a model folder does not know.
    Raises ModelError if the data are not those of the run.
    """
    run_id, models, place, name = open_models(run, uri, paradigm, root)
    cohort = cohort_of(models, place, name, progress)
    stored_run = None if Path(run).is_dir() else find_run(uri, run)
    members = finished(stored_run) if stored_run else []
    return Opened(run_id, models[0].run, tuple(models), cohort, tables_of(members))


def open_models(
    run: str, uri: str, paradigm: str | None = None, root: Path | None = None
) -> tuple[str, list[Predictor], Path, str]:
    """The run's id, the models of one paradigm (one per seed), where the data are, and the config's name."""
    folder = Path(run)
    if (folder / "model.json").is_file():
        if root is None:
            raise ConfigError("a model folder does not say where its data are; name them with --root FOLDER")
        return folder.name, [load_model(folder)], root, folder.name
    stored_run = find_run(uri, run)
    members = finished(stored_run)
    stored = stored_config(stored_run)
    wanted = paradigm or (stored_run.tags["paradigm"] if members == [stored_run] else stored.evaluation.reference)
    models = [load_model(download(one, "model")) for one in members if one.tags["paradigm"] == wanted]
    if not models:
        there = ", ".join(sorted({one.tags["paradigm"] for one in members}))
        raise ConfigError(f"run {stored_run.run_id} has no finished model of the paradigm '{wanted}'; it has {there}")
    return stored_run.run_id, models, root or Path(getattr(stored.source, "root", ".")), stored_run.name.split(" ")[0]


def finished(run: FoundRun) -> list[FoundRun]:
    """The finished runs of a comparison, or the run itself."""
    return [one for one in children(run) if one.status == "FINISHED"] or [run]


def stored_config(run: FoundRun) -> RunConfig:
    """The run's config as its store keeps it, held to the same rules as a file of the user's."""
    return read_portable(download(run, "config.yaml"), names_data=True)


def cohort_of(models: Sequence[Predictor], root: Path, name: str, progress: Progress) -> Cohort:
    """The data that the models were trained on, prepared again if need be."""
    config = with_root(models[0].run, root)
    cohort = open_cohort(config, prepare(config, name, workspace(), progress))
    for model in models:
        if model.fingerprint != cohort.fingerprint:
            now, then = cohort.fingerprint[:12], model.fingerprint[:12]
            raise ModelError(
                f"the data ({now}) are not those the model was trained on ({then}); name those with --root FOLDER"
            )
    return cohort


def with_root(config: RunConfig, root: Path) -> RunConfig:
    """The same run on data that lie elsewhere."""
    return config.model_copy(update={"source": config.source.model_copy(update={"root": root})})


def tables_of(runs: Sequence[FoundRun]) -> dict[tuple[str, int], pd.DataFrame]:
    """(paradigm, seed) → the predictions that a run kept."""
    return {(one.tags["paradigm"], int(one.tags["seed"])): predictions(one) for one in runs}
