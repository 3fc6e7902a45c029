import numpy as np
import pytest

from i2m2_med.report.intervals import draw_weights, interval, two_sided_p


def test_weights_are_the_sample_then_resamples_of_whole_patients():
    weights = draw_weights(7, 50, seed=3)
    assert weights.shape == (7, 51)
    assert (weights[:, 0] == 1).all()
    assert (weights.sum(axis=0) == 7).all()
    assert (weights == draw_weights(7, 50, seed=3)).all()


def test_one_patient_gives_no_interval():
    found = interval(draw_weights(1)[0])
    assert found.value == 1
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_interval_leaves_undefined_draws_out():
    draws = np.r_[0.5, np.linspace(0, 1, 101), np.full(20, np.nan)]
    assert interval(draws) == pytest.approx((0.5, 0.025, 0.975))


def test_centred_interval_holds_a_value_below_all_replicates():
    draws = np.r_[0.05, np.random.default_rng(0).normal(0.09, 0.01, 500)]
    low, high = interval(draws, centred=True)[1:]
    assert 0 <= low < 0.05 < high


def test_bootstrap_p_of_a_clear_difference_is_small():
    rng = np.random.default_rng(0)
    assert two_sided_p(np.r_[1.0, rng.normal(1, 0.1, 999)]) == pytest.approx(2 / 1000)
    assert two_sided_p(np.r_[0.0, rng.normal(0, 1, 999)]) > 0.5
