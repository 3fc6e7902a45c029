"""Reliability: how often what was given a probability came true, with bands that resample patients."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.intervals import interval
from i2m2_med.report.statistics.metrics import bin_of, confidence_and_hit
from i2m2_med.report.statistics.paired_predictions import Cohort
from i2m2_med.report.statistics.table import Predictions

BINS = 10
FEWEST = 10
"""Bins of fewer samples are left out of the diagram."""
COLUMNS = ["paradigm", "seed", "label", "confidence", "observed", "low", "high", "samples"]


def reliability_table(cohort: Cohort, weights: Float[np.ndarray, "patient draw"]) -> pd.DataFrame:
    """Ten bins of equal width per model and label: mean probability, observed share, and its 95 % interval.

    Two classes: of class 1; more: of the likeliest class.
    """
    rows: list[Row] = []
    for (paradigm, seed), said in cohort.models.items():
        for at, label in enumerate(said.labels):
            head = {"paradigm": paradigm, "seed": seed, "label": label}
            rows += [head | row for row in _bins(said, at, weights)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _bins(said: Predictions, label: int, weights: np.ndarray) -> list[Row]:
    known = said.target[:, label] >= 0
    confidence, hit = confidence_and_hit(said.p[known, label], said.target[known, label])
    patient, bins = said.patient[known], bin_of(confidence, BINS)
    rows: list[Row] = []
    for number in range(BINS):
        here = bins == number
        if here.sum() < FEWEST:
            continue
        hits = np.bincount(patient[here], weights=hit[here], minlength=len(weights)) @ weights
        totals = np.bincount(patient[here], minlength=len(weights)) @ weights
        value, low, high = interval(hits / np.where(totals > 0, totals, np.nan), "share")
        row = {"confidence": float(confidence[here].mean()), "observed": value, "low": low, "high": high}
        rows.append(row | {"samples": int(here.sum())})
    return rows
