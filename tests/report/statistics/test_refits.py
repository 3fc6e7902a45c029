import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2m2_med.report.statistics.refits import Refits, contrast, of_draws


def layout(
    rng: np.random.Generator, patients: int, refits: int, common: float, training: float, both: float
) -> np.ndarray:
    """(refit, patient): what a mean over patients is made of, in a two-way random-effects layout."""
    own = np.sqrt(common) * rng.normal(size=patients) + np.sqrt(both) * rng.normal(size=(refits, patients))
    return own + np.sqrt(training) * rng.normal(size=(refits, 1))


def as_refits(values: np.ndarray) -> Refits:
    """A mean over patients: a patient's influence is its deviation over n."""
    n = values.shape[1]
    moves = (values - values.mean(axis=1, keepdims=True)) / np.sqrt(n * (n - 1))
    return Refits(values.mean(axis=1), moves)


def test_the_error_is_that_of_the_two_way_mean_squares():
    """Hand-made: patients × refits, the mean's variance = (MS patients + MS refits − MS interaction) / (patients · refits)."""
    rng = np.random.default_rng(0)
    table = layout(rng, 30, 4, 1.0, 0.3, 0.5)
    refits, patients = table.shape
    grand, rows, columns = table.mean(), table.mean(axis=1), table.mean(axis=0)
    rest = table - rows[:, None] - columns[None] + grand
    ms_patients = refits * np.square(columns - grand).sum() / (patients - 1)
    ms_refits = patients * np.square(rows - grand).sum() / (refits - 1)
    ms_rest = np.square(rest).sum() / ((patients - 1) * (refits - 1))
    expected = (ms_patients - ms_rest) / (patients * refits) + ms_refits / (patients * refits)
    found = contrast([(1.0, as_refits(table))], float(patients - 1))
    assert found.error**2 == pytest.approx(expected)
    assert found.repeated


def test_one_refit_speaks_of_itself():
    table = layout(np.random.default_rng(1), 20, 1, 1.0, 0.5, 0.0)
    found = contrast([(1.0, as_refits(table))], 19.0)
    assert found.error == pytest.approx(table[0].std(ddof=1) / np.sqrt(20))
    assert not found.repeated
    assert found.freedom == 19


def test_a_difference_with_one_refit_on_either_side_speaks_of_these_models():
    rng = np.random.default_rng(2)
    many, single = (as_refits(layout(rng, 20, n, 1.0, 0.5, 0.1)) for n in (3, 1))
    assert not contrast([(1.0, many), (-1.0, single)], 19.0).repeated


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 9999), refits=st.integers(2, 6), training=st.floats(0, 3))
def test_the_law_does_not_depend_on_order_or_sign(seed, refits, training):
    rng = np.random.default_rng(seed)
    one, other = (as_refits(layout(rng, 15, refits, 1.0, training, 0.5)) for _ in range(2))
    forth, back = contrast([(1.0, one), (-1.0, other)], 14.0), contrast([(1.0, other), (-1.0, one)], 14.0)
    assert forth.value == pytest.approx(-back.value)
    assert forth.error == pytest.approx(back.error)
    turned = Refits(one.values[::-1], one.moves[::-1])
    assert contrast([(1.0, turned), (-1.0, other)], 14.0).error == pytest.approx(forth.error)
    assert forth.freedom + 1e-9 >= 1
    assert 0 <= forth.refit_share <= 1 + 1e-9


def test_draws_are_influences():
    draws = np.random.default_rng(3).normal(0.7, 0.03, (3, 500))
    found = of_draws(draws)
    assert np.square(found.moves).sum(axis=1) == pytest.approx(draws[:, 1:].var(axis=1, ddof=1))
    gap = found.moves[0] - found.moves[1]
    assert np.square(gap).sum() == pytest.approx((draws[0, 1:] - draws[1, 1:]).var(ddof=1))
    assert found.parted(1)[1].values.tolist() == draws[1:, 0].tolist()


def test_a_draw_that_one_refit_lacks_is_left_out_of_all():
    draws = np.random.default_rng(4).normal(size=(2, 50))
    draws[1, 7] = np.nan
    whole = np.delete(draws, 7, axis=1)
    assert of_draws(draws).moves == pytest.approx(of_draws(whole).moves)
    assert np.isnan(contrast([(1.0, of_draws(np.full((2, 50), np.nan)))], 5.0).error)
