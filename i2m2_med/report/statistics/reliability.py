"""Reliability: how often what was given a probability came true, with bands by patient."""

import numpy as np
import pandas as pd

from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.metrics import bin_of, confidence_and_hit
from i2m2_med.report.statistics.paired_predictions import PairedPredictions
from i2m2_med.report.statistics.shares import share_by_patient
from i2m2_med.report.statistics.table import Predictions

BINS = 10
FEWEST = 10
"""Bins of fewer samples are left out of the diagram."""
COLUMNS = ["paradigm", "seed", "label", "confidence", "observed", "low", "high", "samples", "patients"]


def reliability_table(cohort: PairedPredictions) -> pd.DataFrame:
    """Ten bins of equal width per model and label: mean probability, observed share, and its 95 % interval by patient.

    Two classes: of class 1; more: of the likeliest class.
    """
    rows: list[Row] = []
    for (paradigm, seed), predictions in cohort.models.items():
        for at, label in enumerate(predictions.labels):
            head = {"paradigm": paradigm, "seed": seed, "label": label}
            rows += [head | row for row in _bins(predictions, at, cohort.counts_for(at))]
    return pd.DataFrame(rows, columns=COLUMNS)


def _bins(predictions: Predictions, label: int, importance: np.ndarray | None) -> list[Row]:
    known = predictions.target[:, label] >= 0
    confidence, hit = confidence_and_hit(predictions.p[known, label], predictions.target[known, label])
    patient, bins = predictions.patient[known], bin_of(confidence, BINS)
    weight = np.ones(len(hit)) if importance is None else importance[known]
    rows: list[Row] = []
    for number in range(BINS):
        here = bins == number
        if here.sum() < FEWEST or not weight[here].any():
            continue
        (value, low, high), patients = share_by_patient(hit[here], patient[here], weight[here])
        mean = float(np.average(confidence[here], weights=weight[here]))
        row = {"confidence": mean, "observed": value, "low": low, "high": high}
        rows.append(row | {"samples": int(here.sum()), "patients": patients})
    return rows
