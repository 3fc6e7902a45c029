"""Slices put together: laws of the three ways, and the prediction table that comes out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from i2m2_med.pooling import pooled
from i2m2_med.report.statistics.table import read_predictions
from i2m2_med.report.statistics.volumes import ENOUGH, by_volume, pooled_target, recalibrated

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


def scanned(patients: int, seed: int, split: str, slices: int = 8) -> pd.DataFrame:
    """Slices with calibrated p of their own finding; the volume's maximum is far too sure."""
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-rng.normal(-3, 1, (patients, 1)) - rng.normal(0, 0.7, (patients, slices))))
    hit = rng.random(p.shape) < p
    patient, item = (each.ravel() for each in np.indices(p.shape))
    rows = {
        "patient": patient,
        "study": patient,
        "item": item,
        "split": split,
        "label": "acl",
        "pattern": "a",
        "status": "ok",
    }
    both = [pd.DataFrame(rows | {"class": cls, "p": abs(1 - cls - p).ravel(), "target": hit.ravel()}) for cls in (0, 1)]
    return pd.concat(both).sort_values(["patient", "item", "class"]).astype({"target": int}).reset_index(drop=True)


def test_volumes_calibrated_on_validation_are_right_on_average_and_keep_their_order() -> None:
    valid, raw = scanned(500, 0, "valid"), by_volume(scanned(800, 1, "test"), "max")
    mended, few = recalibrated(valid, raw, "max")
    assert few == ""
    one = raw["class"] == 1
    truth = raw[one]["target"].mean()
    assert abs(raw[one]["p"].mean() - truth) > 0.1
    assert abs(mended[one]["p"].mean() - truth) < 0.05
    order = [frame[one]["p"].rank().to_numpy() for frame in (raw, mended)]
    np.testing.assert_array_equal(*order)
    assert list(mended) == list(raw)


def test_few_validation_patients_are_said_and_change_nothing() -> None:
    raw = by_volume(scanned(30, 1, "test"), "max")
    mended, few = recalibrated(scanned(12, 0, "valid"), raw, "max")
    assert f"and it takes {ENOUGH}" in few
    pd.testing.assert_frame_equal(mended, raw)


@pytest.mark.slow
def test_calibrating_as_few_volumes_as_are_enough_mends_more_than_it_costs() -> None:
    """Mean NLL of new volumes over validation splits with 20 or somewhat more patients of the rarer class."""
    raw = by_volume(scanned(600, 1, "test"), "max")
    rows = np.arange(len(raw) // 2) * 2
    target = raw["target"].to_numpy()[::2]

    def nll(frame: pd.DataFrame) -> float:
        return -float(np.log(frame["p"].to_numpy()[rows + target]).mean())

    gained = []
    for seed in range(2, 40):
        mended, few = recalibrated(scanned(60, seed, "valid"), raw, "max")
        if not few:
            gained.append(nll(raw) - nll(mended))
    assert len(gained) > 10
    assert np.mean(gained) > 2 * np.std(gained) / np.sqrt(len(gained))
    assert min(gained) > -0.03
