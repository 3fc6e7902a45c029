import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, t
from statsmodels.stats.proportion import proportion_confint

from i2m2_med.report.statistics.intervals import (
    auroc_interval,
    clopper_pearson,
    difference_interval,
    draw_weights,
    metric_interval,
    share_interval,
    smallest_p,
)
from i2m2_med.report.statistics.refits import Estimate
from i2m2_med.report.statistics.support import NOBODY, Support

MANY = Support((1000.0,), (1000.0,))


def replicates(value: float, error: float, n: int = 4000) -> np.ndarray:
    """A statistic and normal replicates of it, of exactly that standard error."""
    noise = np.random.default_rng(0).normal(size=n)
    return np.r_[value, value + error * (noise - noise.mean()) / noise.std(ddof=1)]


def once(value: float, error: float, freedom: float = 1e6) -> Estimate:
    """What one trained model's bootstrap says."""
    return Estimate(value, error, freedom, False)


def test_weights_are_the_sample_then_resamples_of_whole_patients():
    weights = draw_weights(7, 50, seed=3)
    assert weights.shape == (7, 51)
    assert (weights[:, 0] == 1).all()
    assert (weights[:, 1:].sum(axis=0) == 6).all()
    assert (weights == draw_weights(7, 50, seed=3)).all()


def test_replicates_of_a_mean_spread_as_its_standard_error():
    values = np.random.default_rng(1).normal(size=9)
    weights = draw_weights(9, 40_000)
    means = values @ weights / weights.sum(axis=0)
    assert means[1:].std() == pytest.approx(values.std(ddof=1) / 3, rel=0.02)


@pytest.mark.parametrize("metric", ["accuracy", "auroc", "nll", "brier"])
def test_one_patient_gives_no_interval(metric):
    own = Support((1.0, 1.0), (1.0, 1.0)) if metric == "auroc" else Support((1.0,), (3.0,))
    value, low, high = metric_interval(metric, 0.7 * draw_weights(1)[0], own)
    assert value == 0.7
    assert np.isnan([low, high]).all()


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 40), data=st.data())
def test_counts_have_statsmodels_clopper_pearson(size: int, data: st.DataObject):
    hits = data.draw(st.integers(0, size))
    assert clopper_pearson(float(hits), float(size)) == pytest.approx(
        proportion_confint(hits, size, method="beta"), nan_ok=True
    )


@settings(max_examples=60, deadline=None)
@given(patients=st.integers(2, 60), data=st.data())
def test_one_sample_of_each_patient_is_a_plain_share(patients: int, data: st.DataObject):
    """Korn and Graubard's interval without clusters is Clopper and Pearson's of the counts."""
    hits = data.draw(st.integers(0, patients))
    share = hits / patients
    error = np.sqrt(share * (1 - share) / (patients - 1))
    own = Support((float(patients),), (float(patients),))
    found = share_interval(once(share, error, own.freedom), own)
    assert found[1:] == pytest.approx(proportion_confint(hits, patients, method="beta"), abs=1e-9)


def test_samples_that_are_alike_count_as_one():
    """Twenty patients of five equal samples are twenty, not a hundred."""
    own = Support((20.0,), (100.0,))
    found = share_interval(once(0.8, float(np.sqrt(0.16 / 19)), 19.0), own)
    few = (t.ppf(0.975, 99) / t.ppf(0.975, 19)) ** 2
    assert found[1:] == pytest.approx(clopper_pearson(0.8 * 20 * few, 20 * few))


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "average_precision", "coverage", "auroc"])
@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("patients", [1.0, 2.0, 6.0, 400.0])
def test_no_share_is_certain_at_its_end(metric, value, patients):
    own = Support((patients, patients + 3), (patients, patients + 3))
    found = metric_interval(metric, np.full(99, value), own)
    assert found.low <= value <= found.high
    assert 0 <= found.low < found.high <= 1
    assert found.high - found.low > 1 / (patients + 3)


@pytest.mark.parametrize("value", [0.1, 0.5, 0.83])
def test_draws_that_do_not_vary_are_no_certainty(value):
    """A metric of ties, or the same value of all patients."""
    for metric, own in (("accuracy", MANY), ("auroc", Support((5.0, 9.0), (5.0, 9.0)))):
        found = metric_interval(metric, np.full(99, value), own)
        assert found.high - found.low > 0.01


def test_six_of_six_are_not_all():
    found = metric_interval("accuracy", np.ones(200), Support((6.0,), (6.0,)))
    assert found == pytest.approx((1.0, 0.5407, 1.0), abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    value=st.floats(0.01, 0.99), error=st.floats(1e-4, 0.3), positives=st.integers(1, 80), others=st.integers(1, 300)
)
def test_an_auroc_is_inside_its_interval_inside_the_scale(value, error, positives, others):
    own = Support((float(positives), float(others)), (float(positives), float(others)))
    found = auroc_interval(once(value, error), own)
    assert 0 <= found.low <= value <= found.high <= 1
    wider = auroc_interval(once(value, 2 * error + 0.3), own)
    assert wider.low <= found.low
    assert found.high <= wider.high


def test_a_loss_is_t_in_its_logarithm_and_stays_above_zero():
    value, low, high = metric_interval("nll", replicates(0.02, 0.02), Support((12.0,), (12.0,)))
    assert 0 < low < value < high
    assert low * high == pytest.approx(value**2)
    assert np.log(high / value) == pytest.approx(t.ppf(0.975, 11), rel=1e-6)


def test_the_calibration_error_has_no_interval():
    assert np.isnan(metric_interval("ece", replicates(0.05, 0.01), MANY)[1:]).all()


def test_undefined_draws_are_left_out():
    full, gaps = replicates(0.4, 0.05), np.r_[replicates(0.4, 0.05), np.full(20, np.nan)]
    assert metric_interval("accuracy", gaps, MANY) == metric_interval("accuracy", full, MANY)
    assert np.isnan(metric_interval("accuracy", full, NOBODY)[1:]).all()


@settings(max_examples=60, deadline=None)
@given(value=st.floats(-1, 1), error=st.floats(0, 2), patients=st.integers(2, 50))
def test_a_difference_of_shares_stays_one(value, error, patients):
    own = Support((float(patients),), (float(patients),))
    found = difference_interval("accuracy", once(value, error, own.freedom), own)
    assert -1 <= found.low <= value <= found.high <= 1
    assert found.low < found.high


def test_models_that_never_differed_may_yet():
    """Of 8 patients without a difference, up to 37 % may have one (97.5 %)."""
    own = Support((8.0,), (8.0,))
    assert difference_interval("accuracy", once(0.0, 0.0, 7.0), own)[1:] == pytest.approx((-0.369, 0.369), abs=1e-3)


def test_large_samples_agree_with_scipys_bca():
    """Where the statistic is nearly normal every sound interval is the same."""
    values = np.random.default_rng(2).random(400) < 0.8
    weights = draw_weights(400, 4000)
    ours = metric_interval("accuracy", values @ weights / weights.sum(axis=0), Support((400.0,), (400.0,)))
    theirs = bootstrap((values,), np.mean, n_resamples=4000, rng=0).confidence_interval
    assert ours[1:] == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_p_has_the_floor_of_its_patients():
    assert smallest_p(8.0) == 2 / 2**8
    assert once(5.0, 1e-6, 7.0).p_zero(smallest_p(8.0)) == 2 / 2**8
    assert once(0.0, 0.0, 7.0).p_zero() == 1.0
    assert np.isnan(once(float("nan"), 0.1, 7.0).p_zero())


@pytest.mark.parametrize("value", [0.0, 0.09, 0.11, 0.13, 0.3])
def test_p_fits_the_interval(value):
    found = once(value, 0.05, 9.0)
    low, high = difference_interval("accuracy", found, Support((10.0,), (10.0,)))[1:]
    assert (found.p_zero() < 0.05) == (not low <= 0 <= high)
