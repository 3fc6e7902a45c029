"""`i2m2_compat` is the published task, bug for bug: held against plain loops written from its scripts, on the real demo."""

from pathlib import Path

import numpy as np
import pytest

from .conftest import Build, Built
from .published import loaded, published


def rows_of(built: Built, hadm: np.ndarray) -> np.ndarray:
    place = {study: row for row, study in enumerate(built.records["study"])}
    return np.array([place[str(admission)] for admission in hadm])


def assert_same_inputs(built: Built, oracle: dict[str, np.ndarray]) -> None:
    rows = rows_of(built, oracle["hadm"])
    np.testing.assert_allclose(built.arrays["series"][rows], oracle["ep_tdata"].astype(np.float32), rtol=1e-6)
    np.testing.assert_allclose(built.arrays["static"][rows], oracle["adm_features_all"], rtol=1e-6)
    np.testing.assert_array_equal(built.records["label_mortality"].to_numpy()[rows], oracle["y"])


def test_some_admissions_are_as_published(build: Build, thin: Path) -> None:
    built = build(thin, profile="i2m2_compat", normalise="train")
    assert_same_inputs(built, published(thin, every=9))


@pytest.mark.slow
def test_the_whole_demo_is_as_published(build: Build, thin: Path) -> None:
    oracle = published(thin)
    assert_same_inputs(build(thin, profile="i2m2_compat", normalise="train"), oracle)
    scaled = build(thin, profile="i2m2_compat")
    assert scaled.records["study"].to_list() == [str(hadm) for hadm in oracle["hadm"]]
    series, static, split = loaded(oracle)
    np.testing.assert_allclose(scaled.arrays["series"], series, atol=2e-5)
    varied = np.isfinite(static).all(axis=0)  # nobody on the demo has AIDS: the published z-score divides 0 by 0 there
    assert varied.tolist() == [True, False, True, True, True]
    np.testing.assert_allclose(scaled.arrays["static"][:, varied], static[:, varied], atol=2e-5)
    assert (scaled.arrays["static"][:, ~varied] == 0).all()
    assert scaled.records["split"].to_list() == split
    for column in range(oracle["y_icd9"].shape[1]):
        icd9 = build(thin, profile="i2m2_compat", task="icd9", icd9_group=column)
        np.testing.assert_array_equal(icd9.records[f"label_icd9_{column}"].to_numpy(), oracle["y_icd9"][:, column])
