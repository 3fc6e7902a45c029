"""Slices put together: laws of the three ways, and the prediction table that comes out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from i2m2_med.pooling import pooled
from i2m2_med.report.statistics.table import read_predictions
from i2m2_med.report.statistics.volumes import by_volume, pooled_target

WAYS = ["mean", "max", "noisy_or"]


def slices(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum(axis=-1, keepdims=True)


some_slices = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(2, 4)).flatmap(
    lambda shape: arrays(float, shape, elements=st.floats(0.01, 1)).map(slices)
)


@pytest.mark.parametrize("how", WAYS)
@given(p=some_slices)
def test_rows_sum_to_one_and_order_is_nothing(how: str, p: np.ndarray) -> None:
    whole = pooled(p, how)
    np.testing.assert_allclose(whole.sum(axis=-1), 1)
    np.testing.assert_allclose(pooled(p[::-1], how), whole)
    np.testing.assert_allclose(pooled(p[:1], how), p[0])


@given(p=some_slices)
def test_findings_are_never_less_likely_with_more_slices(p: np.ndarray) -> None:
    more = np.concatenate([p, p[:1]])
    assert (pooled(more, "noisy_or")[:, 0] <= pooled(p, "noisy_or")[:, 0] + 1e-12).all()
    if p.shape[-1] == 2:
        np.testing.assert_allclose(pooled(p, "max")[:, 1], p[:, :, 1].max(axis=0))
        np.testing.assert_allclose(pooled(p, "noisy_or")[:, 1], 1 - (1 - p[:, :, 1]).prod(axis=0))


def test_what_was_not_heard_does_not_count() -> None:
    p = np.array([[[0.2, 0.8]], [[np.nan, np.nan]], [[0.6, 0.4]]])
    for how in WAYS:
        np.testing.assert_allclose(pooled(p, how), pooled(p[[0, 2]], how))
        assert np.isnan(pooled(p[1:2], how)).all()


def test_targets() -> None:
    assert pooled_target(np.array([[0, -1, 1, -1], [0, 0, -1, -1]])).tolist() == [0, -1, 1, -1]


def table() -> pd.DataFrame:
    rows = [
        {"patient": f"p{study // 2}", "study": f"s{study}", "item": item, "split": "test", "label": label, "class": cls,
         "p": p if cls else 1 - p, "p_magnitude": p if cls else 1 - p, "target": int(study == 1 and item == 2 and label == "acl"),
         "pattern": "magnitude", "status": "ok", "group_acquisition": "PD"}
        for study in range(3) for item in range(4) for label, p in (("acl", 0.1 * item + 0.05), ("cyst", 0.4)) for cls in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_volumes_and_patients_are_a_prediction_table() -> None:
    volumes = read_predictions(by_volume(table(), "max"))
    assert volumes.p.shape == (3, 2, 2)
    assert volumes.target.tolist() == [[0, 0], [1, 0], [0, 0]]
    np.testing.assert_allclose(volumes.p[:, 0, 1], 0.35)
    np.testing.assert_allclose(volumes.experts["magnitude"], volumes.p)
    patients = by_volume(table(), "mean", level="patient")
    assert len(patients) == 2 * 2 * 2
    assert patients.query("patient == 'p0'")["items"].tolist() == [8] * 4
    assert set(patients["group_acquisition"]) == {"PD"}
