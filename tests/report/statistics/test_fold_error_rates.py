"""Paired statements from folds keep their error rate: two learners that are equal by symmetry, trained on overlapping folds."""

import numpy as np
import pytest

from i2m2_med.report.statistics.intervals import draw_weights, draw_without
from i2m2_med.report.statistics.metrics import metric_replicates
from i2m2_med.report.statistics.refits import Estimate, contrast, of_draws, over_folds, pseudo_values
from i2m2_med.report.statistics.support import support

DRAWS = 150


def ridge(x: np.ndarray, y: np.ndarray, pull: float) -> np.ndarray:
    with_one = np.c_[x, np.ones(len(x))]
    return np.linalg.solve(with_one.T @ with_one + pull * np.eye(with_one.shape[1]), with_one.T @ (2.0 * y - 1))


def compared(rng: np.random.Generator, patients: int, inputs: int, folds: int, luck: float) -> Estimate:
    """The AUROC of one learner minus that of another, which reads as many other inputs of the same strength. luck: of training."""
    target = rng.permutation(np.arange(patients) < 0.4 * patients).astype(int)
    fold = np.empty(patients, dtype=int)
    for cls in (0, 1):
        rows = rng.permutation(np.flatnonzero(target == cls))
        fold[rows] = np.arange(len(rows)) % folds
    weights = np.c_[draw_weights(patients, DRAWS), draw_without(range(folds), fold, np.arange(patients))]
    draws: list[np.ndarray] = []
    for _ in range(2):
        x = rng.normal(size=(patients, inputs)) + 0.8 / np.sqrt(inputs) * target[:, None]
        score = np.empty(patients)
        for one in range(folds):
            train = fold != one
            slope = ridge(x[train], target[train], inputs / 2 + 1)
            slope[:-1] += luck * rng.normal(size=inputs) * np.linalg.norm(slope[:-1]) / np.sqrt(inputs)
            score[~train] = np.c_[x[~train], np.ones((~train).sum())] @ slope
        p = 1 / (1 + np.exp(-2 * score))
        draws.append(metric_replicates(np.c_[1 - p, p], target, np.arange(patients), weights)["auroc"])
    sides = of_draws(np.stack(draws), folds).parted(1)
    return contrast([(1.0, sides[0]), (-1.0, sides[1])], support("auroc", target, np.arange(patients)).freedom)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patients", "inputs", "folds", "luck"), [(60, 5, 5, 0.0), (150, 20, 5, 0.0), (150, 20, 5, 0.7), (300, 20, 3, 0.7)]
)
def test_equal_learners_differ_in_a_twentieth_of_comparisons_at_most(patients, inputs, folds, luck):
    tries = 300
    rng = np.random.default_rng(patients + folds)
    estimates = [compared(rng, patients, inputs, folds, luck) for _ in range(tries)]
    share = np.mean([abs(one.value) > one.reach for one in estimates])
    assert share <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / tries)


def test_a_mean_s_pseudo_values_are_the_folds_means_and_the_correction_is_nadeau_and_bengio_s():
    rng = np.random.default_rng(1)
    values, fold = rng.normal(size=40), np.arange(40) % 4
    without = np.array([[values[fold != one].mean() for one in range(4)]])
    shares = pseudo_values(np.array([values.mean()]), without)[0]
    assert shares == pytest.approx([values[fold == one].mean() for one in range(4)])
    found = over_folds(float(values.mean()), 0.0, shares, 39.0)
    assert found.error**2 == pytest.approx(shares.var(ddof=1) * (1 / 4 + 1 / 3))
    assert found.refit_freedom == 3
    assert found.repeated


def test_patients_are_the_least_that_the_error_holds():
    same = over_folds(0.1, 0.04, np.full(5, 0.1), 30.0)
    assert same.error == pytest.approx(0.2)
    assert same.refit_error == 0


def test_a_fold_without_which_a_class_is_gone_leaves_a_statement_about_these_models():
    found = over_folds(0.1, 0.04, np.array([0.1, np.nan, 0.2]), 30.0)
    assert not found.repeated
    assert found.error == pytest.approx(0.2)
