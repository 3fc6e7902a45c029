"""Training statistics only, missing values become the mean, absent rows stay absent."""

import numpy as np

from i2m2_med.samples import normalise


def series(seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(5, 3, (7, 5, 3)).astype(np.float32)
    values[1, :, 2] = np.nan  # a channel never measured
    values[4] = np.nan  # not acquired at all
    return values


def test_statistics_come_from_training_rows_only():
    values, train = series(), np.array([0, 1, 2])
    state = normalise.fit({"series": values}, train, {"series": "standard"})
    changed = values.copy()
    changed[3:] = 1e6
    assert normalise.fit({"series": changed}, train, {"series": "standard"}) == state


def test_training_rows_have_mean_0_and_deviation_1():
    values, train = series(), np.arange(7)
    scaled = normalise.apply("series", values, normalise.fit({"series": values}, train, {"series": "standard"}))
    seen = np.isfinite(values)
    for channel in range(3):
        there = scaled[..., channel][seen[..., channel]]
        np.testing.assert_allclose([there.mean(), there.std()], [0, 1], atol=1e-5)


def test_missing_becomes_the_mean_and_absent_stays_absent():
    values = series()
    scaled = normalise.apply("series", values, normalise.fit({"series": values}, np.arange(7), {"series": "standard"}))
    assert (scaled[1, :, 2] == 0).all()
    assert np.isnan(scaled[4]).all()
    assert np.isfinite(np.delete(scaled, 4, axis=0)).all()


def test_a_constant_channel_does_not_divide_by_zero():
    state = normalise.fit({"static": np.full((4, 2), 3.0, np.float32)}, np.arange(4), {"static": "standard"})
    assert state["static"]["std"] == [1.0, 1.0]
