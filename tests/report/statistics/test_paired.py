import gc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_oracle
from statsmodels.stats.multitest import multipletests

from i2m2_med.report.statistics.paired import delong, holm, mcnemar, mean_influence, patient_scores


def delong_by_pairs(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs and their covariance by the definition: every pair of a positive and a negative (DeLong 1988, eqs. 4-7)."""
    hits, rest = scores[:, positive], scores[:, ~positive]
    wins = (hits[:, :, None] > rest[:, None, :]) + 0.5 * (hits[:, :, None] == rest[:, None, :])
    v10, v01 = wins.mean(axis=2), wins.mean(axis=1)
    return wins.mean(axis=(1, 2)), np.cov(v10) / v10.shape[1] + np.cov(v01) / v01.shape[1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(6, 37))
def test_delong_is_its_definition(seed: int, n: int):
    rng = np.random.default_rng(seed)
    positive = np.r_[True, True, False, False, rng.random(n - 4) < 0.4]
    scores = rng.normal(size=(2, n)).round(1)
    auroc, covariance = delong_by_pairs(scores, positive)
    one, other = (delong(score, positive) for score in scores)
    assert [one.value, other.value] == pytest.approx(auroc.tolist())
    assert one.deviation**2 == pytest.approx(covariance[0, 0], abs=1e-12)
    gap = np.square(one.each - other.each).sum()
    assert gap == pytest.approx(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], abs=1e-12)


def test_the_mean_of_one_model_over_seeds_that_agree_is_that_model():
    rng = np.random.default_rng(1)
    found = delong(rng.normal(size=23), np.arange(23) % 3 == 0)
    assert mean_influence([found, found]).deviation == pytest.approx(found.deviation)


@settings(max_examples=40, deadline=None)
@given(ours=st.integers(0, 25), theirs=st.integers(0, 25), both=st.integers(0, 9))
def test_mcnemar_of_single_samples_is_exact(ours: int, theirs: int, both: int):
    right = np.r_[np.ones(ours), np.zeros(theirs), np.ones(both)].astype(bool)
    other = np.r_[np.zeros(ours), np.ones(theirs), np.ones(both)].astype(bool)
    expected = mcnemar_oracle([[both, ours], [theirs, 0]], exact=True).pvalue
    assert mcnemar(right, other, np.arange(len(right))) == pytest.approx(min(1.0, expected))


def test_mcnemar_counts_a_patient_once():
    right, other = np.ones(40, dtype=bool), np.zeros(40, dtype=bool)
    assert mcnemar(right, other, np.zeros(40, dtype=np.int64)) == 1.0  # one patient proves nothing
    assert mcnemar(right, other, np.arange(40)) < 1e-9


@pytest.fixture(scope="module")
def little_garbage() -> Iterator[None]:
    """What lives already is no garbage: statsmodels collects it at every call, which takes half a second with torch loaded."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("little_garbage")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels(values: list[float]):
    p = np.array(values)
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_leaves_undefined_tests_out():
    assert holm(np.array([0.01, np.nan, 0.04])) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)


def test_patient_scores_take_the_highest():
    score, positive = patient_scores(
        np.array([1.0, 3, 2, 0]), np.array([False, False, True, False]), np.array([4, 4, 7, 7])
    )
    assert score.tolist() == [3, 2]
    assert positive.tolist() == [False, True]
