import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin

from i2m2_med.engine.calibration.conformal import conformal_sets, fit_conformal
from i2m2_med.quantiles import quantile_by_patient


class Said(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose features are its probabilities, for MAPIE."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Said":  # noqa: ARG002
        self.classes_ = np.arange(x.shape[1])
        self.n_features_in_ = x.shape[1]
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return x

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x.argmax(axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def world(seed: int, patients: int, per: int = 1, classes: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p (sample, 1, classes), target, patient: samples of one patient share most of their noise."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), per)
    target = rng.integers(0, classes, patients)[patient]
    logits = (
        1.5 * np.eye(classes)[target]
        + rng.normal(size=(patients, classes))[patient]
        + 0.2 * rng.normal(size=(len(target), classes))
    )
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return p[:, None], target[:, None], patient


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_one_sample_per_patient_is_mapies_split_conformal(alpha):
    p, target, patient = world(0, 187)
    fresh = world(1, 93)[0]
    oracle = SplitConformalClassifier(
        Said().fit(p[:, 0], target[:, 0]), confidence_level=1 - alpha, conformity_score="lac", prefit=True
    )
    oracle.conformalize(p[:, 0], target[:, 0])
    expected = oracle.predict_set(fresh[:, 0])[1][:, :, 0]
    found = conformal_sets(fresh, fit_conformal(p, target, patient, alpha)["split"])
    assert (found[:, 0] == expected).all()


def covered(seed: int, by: str) -> float:
    p, target, patient = world(seed, 60, per=7)
    new, truth, _ = world(seed + 10_000, 40, per=7)
    sets = conformal_sets(new, fit_conformal(p, target, patient, 0.2)[by])
    return float(np.take_along_axis(sets[:, 0], truth, axis=1).mean())


@pytest.mark.parametrize("by", ["split", "by_class"])
def test_new_patients_are_covered(by):
    shares = [covered(seed, by) for seed in range(80)]
    assert 0.8 - 2 * np.std(shares) / np.sqrt(80) <= np.mean(shares) <= 0.9


def test_every_patient_counts_once():
    few = quantile_by_patient(np.array([0.1] * 50 + [0.9]), np.array([0] * 50 + [1]), alpha=0.4)
    assert few == 0.9


def test_too_few_patients_let_every_class_in():
    p, target, patient = world(0, 3)
    fitted = fit_conformal(p, target, patient, alpha=0.1)
    assert fitted["split"] == [None]
    assert conformal_sets(p, fitted["split"]).all()


def test_a_class_never_seen_is_never_ruled_out():
    p, target, patient = world(0, 90)
    fitted = fit_conformal(p, np.minimum(target, 2), patient, alpha=0.1)
    assert fitted["by_class"][0][3] is None
    assert conformal_sets(p, fitted["by_class"])[:, 0, 3].all()


def test_unknown_targets_are_left_out():
    p, target, patient = world(0, 90)
    masked = np.where(np.arange(90)[:, None] % 3 == 0, -1, target)
    kept = masked[:, 0] >= 0
    assert fit_conformal(p, masked, patient, 0.1) == fit_conformal(p[kept], target[kept], patient[kept], 0.1)
