"""Trained models on a split of their own data, or on other data of the same kind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from i2m2_med.config.run import RunConfig
from i2m2_med.console import Progress
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.engine.prediction.withheld_modalities import withhold
from i2m2_med.engine.reopening.runs import open_models, with_root
from i2m2_med.errors import ConfigError
from i2m2_med.samples.cohort import Cohort, open_cohort
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.encoders import check_encoders
from i2m2_med.samples.preparing import prepare
from i2m2_med.samples.split import REST
from i2m2_med.workspace import workspace


@dataclass(frozen=True)
class FoundModels:
    """The models of one paradigm, one per seed, before any data are read."""

    run_id: str
    config: RunConfig
    """Theirs, on the data that are to be judged."""
    models: Sequence[Predictor]
    name: str
    """Of the config, which names what is prepared."""


@dataclass(frozen=True)
class OtherData:
    """Models and the data that they are asked about."""

    run_id: str
    config: RunConfig
    models: Sequence[Predictor]
    cohort: Cohort

    def samples(self, split: str) -> list[Samples]:
        """The samples of a split as each model reads them: with its own training statistics, never augmented."""
        return [replace(self.cohort, state=one.state, opened={}, augment=None).samples(split) for one in self.models]

    def predictions(self, split: str, without: Sequence[str] = ()) -> dict[tuple[str, int], pd.DataFrame]:
        """(paradigm, seed) → predictions on validation, the split, and what is beside a group that was left out.

        without: modalities that are withheld from every sample; those that lack one of the rest are left out then.
        """
        if split not in self.cohort.splits:
            raise ConfigError(f"these data have no split '{split}'; they have {', '.join(self.cohort.splits)}")
        beside = (REST,) if REST in self.cohort.splits else ()
        parts = [self.samples(part) for part in dict.fromkeys(("valid", split, *beside))]
        if without:
            parts = [
                [withhold(model, one, without) for model, one in zip(self.models, part, strict=True)] for part in parts
            ]
        return {
            (model.paradigm, model.seed): pd.concat(
                [model.predict(samples[number], self.run_id) for samples in parts], ignore_index=True
            )
            for number, model in enumerate(self.models)
        }


def open_models_for(run: str, uri: str, paradigm: str | None, root: Path | None) -> FoundModels:
    """The models of `run` (of a comparison: of one paradigm), to be asked about the data in `root`, or their own."""
    run_id, models, place, name = open_models(run, uri, paradigm, root)
    config = with_root(models[0].run, place)
    if any(model.members for model in models):
        if root is None:
            raise ConfigError(
                f"{run} is the ensemble of all folds, which has seen every patient: `i2m2 report` has their predictions out of fold; "
                "name other data with --root, or one fold's run"
            )
        own = {"folds": None, "fold": None, "file": None}
        config = config.model_copy(update={"split": config.split.model_copy(update=own)})
    return FoundModels(run_id, config, models, name)


def open_data(paradigm_models: FoundModels, progress: Progress) -> OtherData:
    """Prepare the data that are to be judged, and open them.

    Raises ConfigError where an ensemble of folds has trained on them, ModelError where a frozen encoder is not the one of training.
    """
    refuse_own_data(paradigm_models, progress)
    cohort = open_cohort(
        paradigm_models.config, prepare(paradigm_models.config, paradigm_models.name, workspace(), progress)
    )
    for model in paradigm_models.models:
        check_encoders(cohort.transform, model.encoders, "the model")
    return OtherData(paradigm_models.run_id, paradigm_models.config, paradigm_models.models, cohort)


def refuse_own_data(asked: FoundModels, progress: Progress) -> None:
    """Raise ConfigError where other data are asked for and are those that an ensemble's folds divided; told by their fingerprint, so
    not where a file stated the folds."""
    for model in asked.models:
        if model.members and model.run.split.file is None:
            own = with_root(model.run, asked.config.source.root)  # pyright: ignore[reportAttributeAccessIssue]
            if open_cohort(own, prepare(own, asked.name, workspace(), progress)).fingerprint == model.fingerprint:
                raise ConfigError(
                    "these are the data that the ensemble's folds were made of: it has seen every patient. `i2m2 report` has their "
                    "predictions out of fold"
                )
