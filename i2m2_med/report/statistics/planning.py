"""How wide the report's intervals will be with so many test patients and seeds: before anything is collected or trained."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from i2m2_med.report.statistics.intervals import auroc_interval, auroc_variance, clopper_pearson
from i2m2_med.report.statistics.refits import Estimate, quantile
from i2m2_med.report.statistics.support import Support


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """The assumptions about one label of two classes; a patient counts once, as if its samples were alike."""

    prevalence: float
    auroc: float
    sensitivity: float = 0.9
    """Of the operating point; the same is taken for specificity."""
    seeds: int = 3
    seed_sd: float = 0.02
    """Standard deviation of the AUROC over training seeds."""
    correlation: float = 0.5
    """Of the errors that the same patients bring to two models' AUROCs."""


def expected_widths(plan: Assumptions, patients: int) -> dict[str, float]:
    """Return the expected width of each 95 % interval; NaN where the sample can't define it."""
    positives = round(plan.prevalence * patients)
    negatives = patients - positives
    if min(positives, negatives) < 1:
        return dict.fromkeys(("auroc", "auroc difference", "sensitivity", "specificity", "observed / expected"), np.nan)
    counts = float(positives), float(negatives)
    variance = auroc_variance(plan.auroc, counts)
    interval = auroc_interval(Estimate(plan.auroc, float(np.sqrt(variance)), 1.0, False), Support(counts, counts))
    ratio = np.sqrt((1 - plan.prevalence) / positives)  # Riley et al. 2021, criterion for observed / expected
    return {
        "auroc": interval.high - interval.low,
        "auroc difference": 2 * _reach_of_difference(plan, variance, Support(counts, counts).freedom),
        "sensitivity": _share_width(positives, plan.sensitivity),
        "specificity": _share_width(negatives, plan.sensitivity),
        "observed / expected": float(np.exp(1.96 * ratio) - np.exp(-1.96 * ratio)),
    }


def plan_table(plan: Assumptions, patients: list[int]) -> pd.DataFrame:
    """One line per number of test patients: positives among them, and the expected widths."""
    lines = [
        {"patients": n, "positives": round(plan.prevalence * n), **expected_widths(plan, n)}
        for n in sorted(set(patients))
    ]
    return pd.DataFrame(lines)


def _reach_of_difference(plan: Assumptions, variance: float, freedom: float) -> float:
    """Half the width for the difference of two paradigms, each trained with `seeds`; one seed: of the two trained models."""
    shared = 2 * variance * (1 - plan.correlation)
    if plan.seeds < 2:
        return quantile(freedom) * float(np.sqrt(shared))
    refits = 2 * plan.seed_sd**2 / plan.seeds
    error, freed = float(np.sqrt(shared + refits)), 2.0 * (plan.seeds - 1)
    return Estimate(0.0, error, freedom, True, float(np.sqrt(refits)), freed).reach


def _share_width(patients: int, share: float) -> float:
    """Mean width of Clopper and Pearson's interval over what may come out."""
    hits = np.arange(patients + 1)
    ends = np.array([clopper_pearson(float(each), float(patients)) for each in hits])
    return float(stats.binom.pmf(hits, patients, share) @ (ends[:, 1] - ends[:, 0]))
