"""Splits: by patient, stable when the cohort changes."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2m2_med.config import Split
from i2m2_med.errors import SourceError
from i2m2_med.samples.split import assign, bucket


def records(patients: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"patient": patients, "item": range(len(patients))})


def test_shares_are_as_asked():
    places = pl.Series([bucket(str(patient), Split(valid=0.2, test=0.1)) for patient in range(20_000)])
    shares = dict(places.value_counts(normalize=True).iter_rows())
    assert shares["valid"] == pytest.approx(0.2, abs=0.01)
    assert shares["test"] == pytest.approx(0.1, abs=0.01)


@given(st.sets(st.integers(0, 10**6), min_size=200, max_size=400))
def test_a_patient_keeps_their_place_when_the_cohort_changes(patients):
    names = [str(patient) for patient in patients]
    whole = dict(assign(records(names), Split())[0].select("patient", "split").iter_rows())
    part = dict(assign(records(names[: len(names) // 2 + 50]), Split())[0].select("patient", "split").iter_rows())
    assert all(whole[patient] == place for patient, place in part.items())


def test_order_and_items_are_kept():
    given = records([str(i % 50) for i in range(300)])
    split, how = assign(given, Split())
    assert how == "hash of the patient"
    assert split.drop("split").equals(given)
    assert split.group_by("patient").agg(pl.col("split").n_unique())["split"].max() == 1


def test_an_official_split_that_shares_a_patient_is_refused():
    bad = pl.DataFrame({"patient": ["a", "a", "b", "c"], "split": ["train", "test", "valid", "test"]})
    with pytest.raises(SourceError, match="1 patients stand in more than one split"):
        assign(bad, Split())


@pytest.mark.parametrize("n_patients", [3, 4, 7, 12])
def test_a_small_cohort_still_has_all_three_splits(n_patients):
    for salt in range(5):
        split, _ = assign(records([str(i % n_patients) for i in range(30)]), Split(salt=str(salt)))
        assert set(split["split"]) == {"train", "valid", "test"}
        assert split.group_by("patient").agg(pl.col("split").n_unique())["split"].max() == 1


def test_an_empty_split_is_said():
    with pytest.raises(SourceError, match=r"no patient falls into train \(2 patients in all\)"):
        assign(records(["a", "b"]), Split())
    with pytest.raises(SourceError, match="no patient falls into valid"):
        assign(pl.DataFrame({"patient": ["a", "b", "c"], "split": ["train", "test", "test"]}), Split())
