"""Monte Carlo: 95 % intervals hold the truth as often as they say, and resampling slices instead of patients does not."""

import numpy as np
import pytest
from scipy.stats import norm

from i2m2_med.report.statistics.intervals import draw_weights, metric_interval
from i2m2_med.report.statistics.paired import delong
from i2m2_med.report.statistics.ranking import rank_replicates
from i2m2_med.report.statistics.support import support

WORLDS, PATIENTS = 1000, 300
SEPARATION = 1.5
TRUTH = float(norm.cdf(SEPARATION / np.sqrt(2)))
"""AUROC of unit Gaussians so far apart, whatever slices share."""


def world(
    rng: np.random.Generator, patients: int, per: int, shared: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, targets, patients: slices of a patient share its label and most of their noise."""
    patient = np.repeat(np.arange(patients), per)
    target = (rng.random(patients) < 0.4)[patient]
    own, common = rng.normal(size=len(patient)), rng.normal(size=patients)[patient]
    return SEPARATION * target + np.sqrt(shared) * common + np.sqrt(1 - shared) * own, target, patient


def held(rng: np.random.Generator, patients: int, per: int, by: str = "patient") -> bool:
    """Whether the interval holds the truth."""
    score, target, patient = world(rng, patients, per, shared=0.7)
    unit = patient if by == "patient" else np.arange(len(patient))
    weights = draw_weights(int(unit.max()) + 1, 400, seed=int(rng.integers(2**31)))
    found = metric_interval(
        "auroc", rank_replicates(score, target, unit, weights).auroc, support("auroc", target.astype(int), unit)
    )
    return found.low <= TRUTH <= found.high


SHORT = pytest.mark.xfail(reason="known weakness: AUROC's interval holds the truth in 92.5 % here, not 95", strict=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patients", "per", "worlds"),
    [(300, 4, WORLDS // 2), pytest.param(120, 6, WORLDS, marks=SHORT), (50, 3, WORLDS)],
)
def test_a_bootstrap_by_patient_covers(patients, per, worlds):
    rng = np.random.default_rng(11)
    assert 0.93 <= np.mean([held(rng, patients, per) for _ in range(worlds)]) <= 0.985


@pytest.mark.slow
def test_a_bootstrap_by_slice_does_not():
    rng = np.random.default_rng(11)
    assert np.mean([held(rng, 120, 6, by="slice") for _ in range(WORLDS // 4)]) < 0.85


@pytest.mark.slow
def test_delong_covers():
    rng = np.random.default_rng(12)
    hits = 0
    for _ in range(2 * WORLDS):
        score, target, _ = world(rng, PATIENTS, 1, shared=0.0)
        estimate = delong(score, target)
        hits += abs(estimate.value - TRUTH) <= norm.ppf(0.975) * estimate.deviation
    assert 0.93 <= hits / (2 * WORLDS) <= 0.97
