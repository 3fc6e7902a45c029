import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import bootstrap, norm

from i2m2_med.report.statistics.intervals import centred_interval, draw_weights, interval, metric_interval, two_sided_p


def replicates(value: float, error: float, n: int = 4000) -> np.ndarray:
    """A statistic and normal replicates of it, of exactly that standard error."""
    noise = np.random.default_rng(0).normal(size=n)
    return np.r_[value, value + error * (noise - noise.mean()) / noise.std(ddof=1)]


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


def test_one_patient_gives_no_interval():
    found = interval(draw_weights(1)[0])
    assert found.value == 1
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_a_difference_is_normal_and_undefined_draws_are_left_out():
    draws = np.r_[replicates(0.1, 0.05), np.full(20, np.nan)]
    assert interval(draws) == pytest.approx((0.1, 0.1 - 1.96 * 0.05, 0.1 + 1.96 * 0.05), abs=1e-4)


def test_a_share_is_normal_in_log_odds_and_stays_inside():
    value, low, high = interval(replicates(0.97, 0.02), "share")
    reach = 1.96 * 0.02 / (0.97 * 0.03)
    assert (logit(low), logit(high)) == pytest.approx((logit(value) - reach, logit(value) + reach), abs=1e-3)
    assert value - low > high - value
    assert high < 1


def test_a_loss_is_normal_in_its_logarithm_and_stays_above_zero():
    value, low, high = metric_interval("nll", replicates(0.02, 0.02))
    assert 0 < low < value < high
    assert low * high == pytest.approx(value**2)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_at_the_end_of_the_scale_replicates_decide(value):
    found = interval(np.r_[value, np.full(99, value)], "share")
    assert found == (value, value, value)


def test_large_samples_agree_with_scipys_bca():
    """Where the statistic is nearly normal every sound interval is the same."""
    values = np.random.default_rng(2).random(400) < 0.8
    weights = draw_weights(400, 4000)
    ours = interval(values @ weights / weights.sum(axis=0), "share")
    theirs = bootstrap((values,), np.mean, n_resamples=4000, rng=0).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_centred_interval_holds_a_value_below_all_replicates():
    draws = np.r_[0.05, np.random.default_rng(0).normal(0.09, 0.01, 500)]
    low, high = centred_interval(draws)[1:]
    assert 0 <= low < 0.05 < high
    assert metric_interval("ece", draws) == centred_interval(draws)


@pytest.mark.parametrize("value", [0.0, 0.09, 0.1, 0.3])
def test_p_fits_the_interval(value):
    draws = replicates(value, 0.05)
    low, high = interval(draws)[1:]
    assert (two_sided_p(draws) < 0.05) == (not low <= 0 <= high)
    assert two_sided_p(draws) == pytest.approx(2 * norm.sf(value / 0.05))


def test_models_that_never_differ_have_p_one():
    assert two_sided_p(np.zeros(9)) == 1
    assert np.isnan(two_sided_p(np.ones(1)))
