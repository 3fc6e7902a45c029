"""Performance per availability pattern: which modalities a sample had."""

from dataclasses import replace

import numpy as np
import pandas as pd

from i2m2_med.report.statistics.bootstrap import MACRO, Cube, Row, by_label, members, replicate_cube, supports_of
from i2m2_med.report.statistics.calibration_floor import METRIC as CHANCE_OF_ECE
from i2m2_med.report.statistics.calibration_floor import chance_of, mean_floor
from i2m2_med.report.statistics.intervals import REPLICATES, draw_weights, metric_interval
from i2m2_med.report.statistics.paired_predictions import PairedPredictions
from i2m2_med.report.statistics.table import Mask

FEWEST = 10
"""Groups of fewer patients are not reported."""
PER_PATTERN = ("auroc", "accuracy", "nll", "ece", "soft_accuracy")


def pattern_table(cohort: PairedPredictions, cube: Cube, replicates: int = REPLICATES, seed: int = 0) -> pd.DataFrame:
    """Performance per availability pattern (mean over seeds and labels), suppressed below ten patients.

    Every paradigm is judged on all samples it can answer, so a unimodal one has no row where its modality is missing.
    cube: of the samples that all answered, taken as it is where there is one pattern and nobody was silent.
    """
    rows: list[Row] = []
    patterns = _rows_of(cohort)
    whole = len(patterns) == 1 and bool(cohort.common.all())
    for name, here in patterns.items():
        part = cohort.take(here)
        for paradigm in cohort.paradigms:
            seeds = part.of_paradigm(paradigm)
            answered = np.logical_and.reduce([predictions.answered for predictions in seeds])
            chosen = replace(part, models={(paradigm, at): predictions for at, predictions in enumerate(seeds)}).take(
                answered
            )
            counts = {"pattern": name, "paradigm": paradigm, "samples": int(answered.sum())}
            known = cube[members(cohort, paradigm)] if whole else None
            rows += [counts | row for row in _pattern_rows(chosen, known, replicates, seed)]
    return pd.DataFrame(rows, columns=["pattern", "paradigm", "samples", "patients", "metric", "value", "low", "high"])


def _pattern_rows(chosen: PairedPredictions, known: Cube | None, replicates: int, seed: int) -> list[Row]:
    """One paradigm (mean over its seeds, and over labels) on the samples of one pattern."""
    patients = len(np.unique(chosen.first.patient))
    if patients < FEWEST:
        return [{"patients": patients, "metric": f"suppressed: fewer than {FEWEST} patients"}] if patients else []
    cube = replicate_cube(chosen, draw_weights(patients, replicates, seed)) if known is None else known
    supports = supports_of(chosen)
    overall = chosen.first.labels[0] if len(chosen.first.labels) == 1 else MACRO
    rows: list[Row] = []
    for label, metric, draws, _ in by_label(chosen, np.moveaxis(cube, 0, -1)):
        if label == overall and metric in PER_PATTERN:
            estimate = metric_interval(metric, draws.T, supports[label, metric])._asdict()
            rows.append({"patients": patients, "metric": metric, **estimate})
    floors = [
        chance_of(predictions, at, chosen.counts_for(at), seed)
        for predictions in chosen.models.values()
        for at in range(len(predictions.labels))
    ]
    return [*rows, {"patients": patients, "metric": CHANCE_OF_ECE, **mean_floor(floors)._asdict()}]


def _rows_of(cohort: PairedPredictions) -> dict[str, Mask]:
    """Each pattern's samples."""
    pattern = np.asarray(cohort.first.samples["pattern"], dtype=str)
    return {str(name): pattern == name for name in np.unique(pattern)}
