"""Paradigms against each other on one cohort: values with intervals, paired differences, spread over seeds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from i2m2_med.config.evaluation import Evaluation
from i2m2_med.errors import SourceError
from i2m2_med.report.statistics.bootstrap import Cube, Row, metric_rows, replicate_cube, seed_table
from i2m2_med.report.statistics.differences import difference_rows, paired_table, patient_table
from i2m2_med.report.statistics.fold_table import fold_table
from i2m2_med.report.statistics.intervals import REPLICATES, draw_weights, draw_without
from i2m2_med.report.statistics.metrics import metric_names
from i2m2_med.report.statistics.operating import operating_points
from i2m2_med.report.statistics.paired_predictions import Model, PairedPredictions, pair_predictions
from i2m2_med.report.statistics.patterns import pattern_table
from i2m2_med.report.statistics.table import Predictions


@dataclass(frozen=True)
class Comparison:
    """The results of comparing paradigms."""

    rows: list[Row]
    """paradigm, label (or `macro`), metric, value, low, high (None: undefined), seed (None: mean over seeds), labels_used."""
    paired: pd.DataFrame
    """Reference minus each other paradigm: difference, low, high, p, p_floor, p_holm, role, scope, test."""
    seeds: pd.DataFrame
    """mean, sd over seeds, and the sampling error of one seed beside it."""
    patterns: pd.DataFrame
    """Values per availability pattern, each paradigm on all samples it can answer."""
    operating: pd.DataFrame
    """Thresholds chosen on validation, and what they do on the split that is compared."""
    patients: pd.DataFrame
    """AUROC of patients' highest scores."""
    notes: list[str]
    folds: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Of a cross-validation, each fold's values beside the pooled ones."""

    @property
    def all_rows(self) -> list[Row]:
        """Values and differences as rows of metrics."""
        return [*self.rows, *difference_rows(self.paired)]


def compare_tables(
    tables: Mapping[Model, pd.DataFrame],
    *,
    split: str = "test",
    reference: str = "i2m2",
    replicates: int = REPLICATES,
    seed: int = 0,
    fingerprints: Mapping[Model, str] | None = None,
    evaluation: Evaluation | None = None,
) -> Comparison:
    """Compare {(paradigm, seed): prediction table}: `compare_paired` of tables that are yet to be paired. Raises SourceError where they can't be."""
    settings = evaluation or Evaluation()
    every = pair_predictions(tables, fingerprints, settings.prior)
    return compare_paired(every, split, reference, replicates, seed, settings)


def compare_paired(
    every: PairedPredictions, split: str, reference: str, replicates: int, seed: int, settings: Evaluation
) -> Comparison:
    """Compare models whose predictions are paired.

    settings: the primary comparison, operating point and class shares of the population. Raises SourceError where the split is empty.
    """
    cohort = every.of(split)
    common = cohort.take(cohort.common)
    if len(common.first.samples) == 0:
        raise SourceError(
            f"no sample of the split {split!r} was answered by every paradigm: there is nothing to compare."
        )
    patient = common.first.patient
    weights = draw_weights(int(patient.max()) + 1, replicates, seed)
    without = draw_without(common.folds, common.first.fold, patient)
    with_folds = replicate_cube(common, np.concatenate([weights, without], axis=1) if without.size else weights)
    cube = with_folds[..., : weights.shape[1]]
    operating, remarks = operating_points(every, common, settings.sensitivity)
    return Comparison(
        rows=metric_rows(common, with_folds, seed),
        paired=paired_table(common, with_folds, reference, settings.primary),
        seeds=seed_table(common, cube),
        patterns=pattern_table(cohort, cube, replicates, seed),
        operating=operating,
        patients=patient_table(common),
        folds=fold_table(common, cube),
        notes=[*every.notes, *_notes(common, cube), *remarks],
    )


def _notes(cohort: PairedPredictions, cube: Cube) -> list[str]:
    """Return what a reader has to know before trusting the numbers."""
    notes: list[str] = []
    first = cohort.first
    if first.samples["patient"].nunique() == 1:
        notes.append("the split holds one patient: intervals resample patients, so there are none.")
    if first.places is not None:
        notes.append(
            f"{first.places.n_classes:,} classes, of which tables keep the likeliest: nothing is ranked (AUROC, average precision), "
            "no class-conditional set is made, and the rest is taken to share its mass evenly where calibration scales it."
        )
        if hidden := int(first.places.hidden.sum()):
            notes.append(
                f"{hidden:,} of {int((first.truth >= 0).sum()):,} true answers are not among the likeliest that the scores kept. They count as "
                "wrong, which they are; their probability is not known, so NLL, Brier score and conformal sets are not judged."
            )
    undefined: list[str] = []
    for at, label in enumerate(first.labels):
        classes = np.unique(first.truth[first.target[:, at] >= 0, at])
        if len(classes) < 2:
            seen = f"only the class {_class_name(first, int(classes[0]))!r}" if len(classes) else "no known value"
            undefined.append(f"{label} ({seen})")
        elif first.places is None and len(classes) < len(first.classes):
            notes.append(
                f"{label}: {len(classes)} of {len(first.classes)} classes occur; AUROC and average precision are the mean of those."
            )
    if undefined:
        used = len(first.labels) - len(undefined)
        notes.append(
            f"AUROC is undefined for {', '.join(undefined)}; macro means of it use {used} of {len(first.labels)} labels."
        )
    if cohort.folds and not cohort.first.calibrated:
        notes.append(
            "Folds were not all calibrated (`calibrated` in the prediction table), so their scores may not be on one scale: hold the pooled "
            "AUROC against the mean of folds."
        )
    failed = ~np.isfinite(cube[..., 1:]) & np.isfinite(cube[..., :1])
    for at, metric in enumerate(metric_names(first)):
        if cube.shape[-1] > 1 and (share := float(failed[:, :, at].mean(axis=-1).max())) > 0.01:
            notes.append(
                f"{metric}: up to {share:.0%} of the bootstrap draws lacked a class and were left out of the intervals."
            )
    return notes


def _class_name(predictions: Predictions, cls: int) -> str:
    return str(cls) if predictions.places is not None else predictions.classes[cls]
