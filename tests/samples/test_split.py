"""Splits: by patient, stable when the cohort changes."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2m2_med.config.run import Split
from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.samples.split import REST, UNUSED, assign, bucket


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


def scanned(n_patients: int = 40) -> pl.DataFrame:
    """Two samples a patient: of every four patients one by the scanner `new`, one by both, two by `old`."""
    names = [str(i // 2) for i in range(2 * n_patients)]
    kinds = [("new", "new"), ("new", "old"), ("old", "old"), ("old", "old")]
    by = [kinds[int(name) % 4][at % 2] for at, name in enumerate(names)]
    return pl.DataFrame({"patient": names, "item": range(len(names)), "group_scanner": by})


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("n_patients", [12, 40])
def test_a_group_left_out_is_test_and_nobody_of_it_trains(own, n_patients):
    given = scanned(n_patients)
    if own:
        given = given.with_columns(
            split=pl.Series([("train", "valid", "test")[int(name) // 4 % 3] for name in given["patient"]])
        )
    split, how = assign(given, Split(test_group={"scanner": ("new",)}))
    assert "left out of training: scanner = new (" in how
    assert split.drop("split").equals(given.drop("split", strict=False))
    places = {name: set(part["split"]) for (name,), part in split.group_by("group_scanner")}
    assert places["new"] <= {"test", UNUSED}
    assert places["old"] == {"train", "valid", REST}
    unseen = split.filter(pl.col("split").is_in(["test", REST]))["patient"].unique().to_list()
    seen = split.filter(pl.col("split").is_in(["train", "valid"]))["patient"].unique().to_list()
    assert not set(unseen) & set(seen)
    unused = split.filter(pl.col("split") == UNUSED)
    assert set(unused["patient"]) <= set(seen)  # nobody is lost for nothing
    only_new = split.filter(pl.col("patient").cast(pl.Int64) % 4 == 0)
    assert set(only_new["split"]) == {"test"}


def test_leaving_a_group_out_moves_nobody_else():
    before = assign(scanned(300), Split())[0]
    after = assign(scanned(300), Split(test_group={"scanner": "new"}))[0]
    others = before["group_scanner"] == "old"
    assert before.filter(others)["split"].replace("test", REST).equals(after.filter(others)["split"])


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"scaner": "new"}, "these samples have no group 'scaner'; did you mean 'scanner'"),
        ({"scanner": "newer"}, "no sample has scanner = 'newer'; did you mean 'new'"),
    ],
)
def test_a_group_that_is_not_there_is_one_line(group, said):
    with pytest.raises(ConfigError, match=said):
        assign(scanned(), Split(test_group=group))


@pytest.mark.parametrize("name", ["valid", "test"])
def test_a_share_of_nothing_is_one_line(name):
    with pytest.raises(ConfigError, match=f"split.{name} is 0: nothing can be calibrated and judged"):
        assign(scanned().drop("group_scanner"), Split(**{name: 0}))
