import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from i2m2_med.report.statistics.metrics import METRICS, expected_calibration_error, metric_replicates, point_metrics
from i2m2_med.report.statistics.ranking import rank_replicates
from i2m2_med.report.statistics.table import log_odds


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 41), levels=st.integers(1, 9))
def test_weighted_ranking_is_scikit_learns(seed: int, n: int, levels: int):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels, n).astype(float)  # many ties
    positive = np.r_[True, False, rng.random(n - 2) < 0.4]
    patient = rng.integers(0, 5, n)
    weights = rng.integers(1, 4, (5, 3)).astype(float)
    found = rank_replicates(score, positive, patient, weights)
    for draw in range(3):
        w = weights[patient, draw]
        assert found.auroc[draw] == pytest.approx(oracle.roc_auc_score(positive, score, sample_weight=w))
        assert found.average_precision[draw] == pytest.approx(
            oracle.average_precision_score(positive, score, sample_weight=w)
        )


def test_a_weight_of_two_is_the_patient_twice():
    rng = np.random.default_rng(3)
    p, target, patient = softmax(rng.normal(size=(31, 3))), rng.integers(0, 3, 31), np.arange(31) % 7
    weights = np.ones((7, 2))
    weights[2, 1], weights[5, 1] = 2, 0
    twice = np.concatenate([np.flatnonzero(patient != 5), np.flatnonzero(patient == 2)])
    found = metric_replicates(p, target, patient, weights)
    expected = point_metrics(p[twice], target[twice])
    for name in METRICS:
        assert found[name][1] == pytest.approx(expected[name]), name


@pytest.mark.parametrize("classes", [2, 5])
def test_point_metrics_are_scikit_learns(classes: int):
    rng = np.random.default_rng(classes)
    p, target = softmax(rng.normal(size=(83, classes))), rng.integers(0, classes, 83)
    found = point_metrics(p, target)
    truth = np.eye(classes)[target]
    shown, score = (truth[:, 1], p[:, 1]) if classes == 2 else (truth, p)
    assert found["auroc"] == pytest.approx(oracle.roc_auc_score(shown, score, average="macro"))
    assert found["average_precision"] == pytest.approx(oracle.average_precision_score(shown, score, average="macro"))
    assert found["accuracy"] == pytest.approx(oracle.accuracy_score(target, p.argmax(axis=1)))
    assert found["balanced_accuracy"] == pytest.approx(oracle.balanced_accuracy_score(target, p.argmax(axis=1)))
    assert found["nll"] == pytest.approx(oracle.log_loss(target, p))
    brier = oracle.brier_score_loss(target, score) if classes == 2 else np.square(p - truth).sum(axis=1).mean()
    assert found["brier"] == pytest.approx(brier)


def test_unknown_targets_are_as_if_never_there():
    rng = np.random.default_rng(0)
    p, target = softmax(rng.normal(size=(29, 2))), rng.integers(0, 2, 29)
    masked = np.where(np.arange(29) % 4 == 0, -1, target)
    assert point_metrics(p, masked) == pytest.approx(point_metrics(p[masked >= 0], target[masked >= 0]))


def test_one_class_leaves_ranking_undefined_and_nothing_else():
    p = softmax(np.random.default_rng(0).normal(size=(9, 2)))
    found = point_metrics(p, np.zeros(9, dtype=np.int64))
    undefined = {name for name, value in found.items() if np.isnan(value)}
    assert undefined == {"auroc", "average_precision", "balanced_accuracy"}
    assert all(np.isnan(value) for value in point_metrics(p, np.full(9, -1)).values())


def test_a_draw_of_one_class_is_undefined_not_repeated():
    target, patient = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])
    weights = np.array([[1.0, 2.0], [1.0, 0.0]])
    found = metric_replicates(softmax(np.eye(4)[:, :2]), target, patient, weights)
    assert np.isfinite(found["auroc"][0])
    assert np.isnan(found["auroc"][1])


def test_ranking_survives_probabilities_rounded_to_one():
    p = np.array([[1e-30, 1.0], [1e-20, 1.0], [0.5, 0.5]])
    odds = log_odds(p)
    assert odds[0, 1] > odds[1, 1] > odds[2, 1] == 0
    assert log_odds(np.array([[0.0, 1.0]])).tolist() == [[-np.inf, np.inf]]


def test_a_constant_score_has_auroc_one_half():
    found = point_metrics(np.full((11, 2), 0.5), np.arange(11) % 2)
    assert found["auroc"] == 0.5


def test_certain_and_wrong_is_finite():
    found = point_metrics(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 1]))
    assert np.isfinite(found["nll"])


def test_calibration_error_by_hand():
    p = np.array([0.1, 0.1, 0.9, 0.9])
    target = np.array([0, 1, 1, 1])
    found = expected_calibration_error(np.stack([1 - p, p], axis=1), target, np.arange(4), np.ones((4, 1)))
    assert found[0] == pytest.approx((2 * 0.4 + 2 * 0.1) / 4)
