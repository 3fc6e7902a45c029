"""Several models' predictions over one and the same cohort, or an error that says why they can't be paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from i2m2_med.errors import SourceError
from i2m2_med.report.statistics.population import importance_of
from i2m2_med.report.statistics.table import KEY, Mask, Predictions, read_predictions

Model = tuple[str, int]
"""Paradigm and seed."""


@dataclass(frozen=True)
class PairedPredictions:
    """The predictions of every model, row for row over the same samples."""

    models: dict[Model, Predictions]
    notes: tuple[str, ...] = ()
    prior: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])
    """By label, the class shares of the population that is spoken of (`evaluation.prior`)."""
    importance: Float[np.ndarray, "sample label"] | None = None
    """How much each sample counts, so that classes have those shares; None: each for one."""

    @property
    def first(self) -> Predictions:
        """Any of the models: for what all share (samples, labels, classes, targets, patients)."""
        return next(iter(self.models.values()))

    @property
    def paradigms(self) -> list[str]:
        """In the order of the tables."""
        return list(dict.fromkeys(paradigm for paradigm, _ in self.models))

    @property
    def folds(self) -> list[int]:
        """The folds of the cross-validation that test the samples; empty outside of one, and where one patient is in several."""
        pairs = np.unique(np.stack([self.first.patient, self.first.fold]), axis=1)
        folds = np.unique(pairs[1]).tolist()
        return folds if len(folds) > 1 and min(folds) >= 0 and pairs.shape[1] == len(np.unique(pairs[0])) else []

    @property
    def common(self) -> Mask:
        """Samples that every model answered: what is compared."""
        return np.logical_and.reduce([model.answered for model in self.models.values()])

    def seeds(self, paradigm: str) -> list[int]:
        """The seeds a paradigm was trained with."""
        return [seed for name, seed in self.models if name == paradigm]

    def of_paradigm(self, paradigm: str) -> list[Predictions]:
        """A paradigm's predictions, one per seed."""
        return [predictions for (name, _), predictions in self.models.items() if name == paradigm]

    def of(self, split: str) -> "PairedPredictions":
        """One split of every model, weighted to the population's class shares."""
        models = {model: predictions.of(split) for model, predictions in self.models.items()}
        first = next(iter(models.values()))
        return replace(self, models=models, importance=importance_of(first.target, first.labels, self.prior))

    def counts_for(self, label: int) -> Float[np.ndarray, "sample"] | None:
        """Return the importance of each sample for one label; None: one each."""
        return None if self.importance is None else self.importance[:, label]

    def take(self, rows: Mask) -> "PairedPredictions":
        """The samples where `rows` is true."""
        kept = None if self.importance is None else self.importance[rows]
        models = {model: predictions.take(rows) for model, predictions in self.models.items()}
        return replace(self, models=models, importance=kept)


def pair_predictions(
    tables: Mapping[Model, pd.DataFrame],
    fingerprints: Mapping[Model, str] | None = None,
    prior: Mapping[str, Sequence[float]] | None = None,
) -> PairedPredictions:
    """Read prediction tables that are to be compared. prior: by label, class shares of the population that is spoken of.

    Raises SourceError if their fingerprints, samples, splits, labels or targets differ: such runs can't be paired.
    """
    if not tables:
        raise SourceError("there is no prediction table to compare. Train at least one paradigm first.")
    _same_fingerprint(fingerprints or {})
    read = {model: read_predictions(table, f"the table of {model_name(model)}") for model, table in tables.items()}
    first = next(iter(read.values())).samples
    models = {model: predictions.in_order_of(first) for model, predictions in read.items()}
    cohort = PairedPredictions(models)
    for model, predictions in models.items():
        if difference := _difference(cohort.first, predictions):
            first = model_name(next(iter(models)))
            raise SourceError(
                f"{first} and {model_name(model)} differ in {difference}: they can't be paired. Train both on one prepared cohort."
            )
    return PairedPredictions(models, tuple(_notes(cohort)), prior or {})


def model_name(model: Model) -> str:
    """Return how a model is named in messages."""
    return f"{model[0]} (seed {model[1]})"


def _same_fingerprint(fingerprints: Mapping[Model, str]) -> None:
    if len(set(fingerprints.values())) > 1:
        listed = ", ".join(f"{model_name(model)}: {mark[:12]}" for model, mark in fingerprints.items())
        raise SourceError(
            f"the runs come from different cohorts (fingerprints {listed}): they can't be paired. Train them on one cohort."
        )


def _difference(one: Predictions, other: Predictions) -> str:
    if one.labels != other.labels or (one.classes != other.classes and one.places is None):
        return "labels or classes"
    columns = [*KEY, "split"]
    if not one.samples[columns].astype(str).equals(other.samples[columns].astype(str)):
        return f"their samples ({len(one.samples)} and {len(other.samples)})"
    return "" if np.array_equal(one.truth, other.truth) else "the true labels"


def _notes(cohort: PairedPredictions) -> list[str]:
    notes: list[str] = []
    for model, predictions in cohort.models.items():
        if refused := int((~predictions.answered).sum()):
            total = len(predictions.answered)
            notes.append(
                f"{model_name(model)} could not answer {refused} of {total} samples; paradigms are compared on those all answered."
            )
        for number, label in enumerate(predictions.labels):
            if predictions.same_for_all(number):
                notes.append(
                    f"{model_name(model)} gives every sample the same score for {label}: its AUROC is 0.5 by ties."
                )
    return notes
