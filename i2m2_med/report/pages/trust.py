"""Evidence on whether a model's probabilities may be trusted: reliability, calibration, decisions, conformal sets, subgroups."""

from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from i2m2_med.report.statistics.calibration import calibration_table, decision_curve
from i2m2_med.report.statistics.intervals import draw_weights
from i2m2_med.report.statistics.paired_predictions import PairedPredictions
from i2m2_med.report.statistics.reliability import reliability_table
from i2m2_med.report.statistics.subgroups import coverage_table, subgroup_table

BESIDE = ("intra", "inter")
"""Paradigms drawn beside the reference."""


class Trust(NamedTuple):
    """Tables by name; the last two are of the reference's first seed."""

    reliability: pd.DataFrame
    calibration: pd.DataFrame
    decision: pd.DataFrame
    subgroups: pd.DataFrame
    coverage: pd.DataFrame


def judge_trust(
    every: PairedPredictions, *, split: str, reference: str, draws: int, seed: int, sensitivity: float = 0.9
) -> Trust:
    """Every table, on the samples of `split` that all models answered; first seeds of the reference and what is drawn beside it."""
    chosen = [name for name in every.paradigms if name in (*BESIDE, reference)] or every.paradigms[:1]
    first = replace(every, models={(name, every.seeds(name)[0]): every.of_paradigm(name)[0] for name in chosen})
    part = first.of(split)
    judged = part.take(every.of(split).common)
    weights = draw_weights(int(judged.first.patient.max()) + 1, draws, seed)
    main = reference if reference in chosen else chosen[0]
    return Trust(
        reliability_table(judged),
        calibration_table(judged),
        decision_curve(judged, weights),
        subgroup_table(first.of_paradigm(main)[0], split, sensitivity, draws, part.importance),
        coverage_table(judged.of_paradigm(main)[0], judged.importance),
    )
