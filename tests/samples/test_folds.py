"""Folds: everybody tests once, nobody tests whom they trained or validated for, classes are spread, and a table that states folds is
read completely or refused."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from i2m2_med.config.run import RunConfig, Split
from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.samples.folds import assign_folds, deal, fold_column
from i2m2_med.samples.preparing import data_settings


def cohort(patients: int, per: int = 2, positive: int = 3, groups: int = 2) -> pl.DataFrame:
    """Every `positive`-th patient has the label, in all samples; groups go round."""
    who = [i // per for i in range(patients * per)]
    return pl.DataFrame(
        {
            "patient": [f"p{i}" for i in who],
            "study": [f"s{i}" for i in who],
            "item": list(range(len(who))),
            "label_a": [int(i % positive == 0) for i in who],
            "group_scanner": [None if i % 7 == 0 else str(i % groups) for i in who],
        }
    )


def places(records: pl.DataFrame, folds: int) -> list[dict[str, set[str]]]:
    """Of each fold: the patients of train, valid and test."""
    return [
        {split: set(part["patient"]) for (split,), part in records.group_by(fold_column(fold))} for fold in range(folds)
    ]


@settings(max_examples=10, deadline=None)
@given(
    patients=st.integers(5, 40),
    per=st.integers(1, 3),
    folds=st.integers(2, 5),
    positive=st.integers(2, 9),
    salt=st.text(max_size=3),
)
def test_everybody_tests_once_and_nobody_who_tests_has_trained_or_validated(patients, per, folds, positive, salt):
    given_records = cohort(patients, per, positive)
    made, _ = assign_folds(given_records, Split(folds=folds, salt=salt))
    assert made.drop("split", *(fold_column(fold) for fold in range(folds))).equals(given_records)
    tested: list[str] = []
    for one in places(made, folds):
        assert set(one) == {"train", "valid", "test"}
        assert not one["test"] & (one["train"] | one["valid"])
        assert not one["train"] & one["valid"]
        assert one["test"] | one["train"] | one["valid"] == set(given_records["patient"])
        tested += one["test"]
    assert sorted(tested) == sorted(set(given_records["patient"]))


def test_labels_and_groups_are_spread_and_validation_has_its_share():
    made, how = assign_folds(cohort(120, positive=10), Split(folds=4, valid=0.2))
    assert how == "4 folds of patients, stratified by labels and groups"
    for one in places(made, 4):
        tested, validated = (sum(int(name[1:]) % 10 == 0 for name in one[split]) for split in ("test", "valid"))
        assert tested == 3
        assert validated in {2, 3}  # of nine in four parts
        assert len(one["valid"]) == pytest.approx(0.2 * 120, abs=4)
        scanners = [sum(int(name[1:]) % 7 and int(name[1:]) % 2 for name in one[split]) for split in ("test", "train")]
        assert scanners[0] == pytest.approx(120 / 4 / 2, abs=4)


def test_a_rare_class_is_spread_as_far_as_it_goes():
    records = cohort(60).with_columns(label_a=pl.col("patient").is_in(["p3", "p20", "p41"]).cast(pl.Int8))
    made, _ = assign_folds(records, Split(folds=5))
    assert max(len(one["test"] & {"p3", "p20", "p41"}) for one in places(made, 5)) == 1


def test_places_follow_from_patients_and_salt_alone():
    records = cohort(40)
    made = [deal(one, 4, Split(folds=4)) for one in (records, records.reverse())]
    assert made[0].to_list() == made[1].reverse().to_list()
    assert deal(records, 4, Split(folds=4, salt="another")).to_list() != made[0].to_list()


def test_many_labels_do_not_run_away():
    records = cohort(90).with_columns(**{f"label_{i}": pl.col("item") * (i + 3) % 7 % 2 for i in range(25)})
    made, _ = assign_folds(records, Split(folds=3))
    assert [len(one["test"]) for one in places(made, 3)] == [30, 30, 30]


@pytest.mark.parametrize(("patients", "split"), [(4, {"folds": 5}), (2, {"folds": 2})])
def test_more_folds_than_patients_are_refused(patients, split):
    with pytest.raises(ConfigError, match=rf"split\.folds is {split['folds']}, but there are {patients} patients"):
        assign_folds(cohort(patients), Split(**split))


def test_folds_without_validation_are_refused():
    with pytest.raises(ConfigError, match=r"split\.valid is 0"):
        assign_folds(cohort(10), Split(folds=2, valid=0))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"fold": 1}, "fold 1 is none of 0 folds"),
        ({"folds": 3, "fold": 3}, "fold 3 is none of 3 folds"),
        ({"folds": 1}, "greater than or equal to 2"),
        ({"folds": 3, "official": True}, "goes with neither official nor test_group"),
        ({"folds": 3, "test_group": {"scanner": "1"}}, "goes with neither official nor test_group"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(content, why):
    with pytest.raises(ValidationError, match=why):
        Split.model_validate(content)


def stated(tmp_path: Path, text: str, folds: int = 3) -> Split:
    (tmp_path / "folds.csv").write_text(text, encoding="utf-8")
    return Split(file=tmp_path / "folds.csv", folds=folds)


TABLES = {
    "by patient, from 0": "who,fold\n" + "".join(f"p{i},{i % 3}\n" for i in range(12)),
    "by study, from 1, other names": "part;age;file\n" + "".join(f"{i % 3 + 1};60;s{i}.h5\n" for i in range(12)),
    "with the data set's split beside it": "who,split,fold\n" + "".join(f"p{i},train,{i % 3}\n" for i in range(12)),
}


@pytest.mark.parametrize("name", TABLES)
def test_folds_from_a_file_are_those_that_stand_there(tmp_path, name):
    made, how = assign_folds(cohort(12), stated(tmp_path, TABLES[name]))
    for fold, one in enumerate(places(made, 3)):
        assert one["test"] == {f"p{i}" for i in range(12) if i % 3 == fold}
    assert how.startswith("3 folds, ")
    assert how.endswith(" by folds.csv")


def test_names_that_are_not_in_the_data_are_said(tmp_path):
    _, how = assign_folds(cohort(12), stated(tmp_path, TABLES["by patient, from 0"] + "p77,0\np78,1\n"))
    assert how.endswith("(2 of its names are not in the data)")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            TABLES["by patient, from 0"].replace("p11,2\n", ""),
            "names neither every study nor every patient.*0 of 12 studies",
        ),
        (TABLES["by patient, from 0"] + "p0,2\n", "1 of its names more than one split"),
        (TABLES["by patient, from 0"].replace("p11,2", "p11,"), "has 0 columns that hold the numbers 0 to 2"),
        (TABLES["by patient, from 0"].replace("p11,2", "p11,3"), "has 0 columns that hold the numbers 0 to 2"),
        (
            "who,fold,again\n" + "".join(f"p{i},{i % 3},{i % 3}\n" for i in range(12)),
            "has 2 columns that hold the numbers",
        ),
    ],
)
def test_a_table_of_folds_that_leaves_doubt_is_refused(tmp_path, text, why):
    with pytest.raises(SourceError, match=why) as raised:
        assign_folds(cohort(12), stated(tmp_path, text))
    assert "p11" not in str(raised.value)


def test_a_patient_whose_studies_stand_in_two_folds_is_refused(tmp_path):
    records = cohort(12).with_columns(study=pl.format("f{}", "item"))
    text = "file,fold\n" + "".join(f"f{i},{i % 3}\n" for i in range(24))
    with pytest.raises(SourceError, match="puts 12 patients into more than one fold"):
        assign_folds(records, stated(tmp_path, text))


def test_a_fold_that_leaves_too_few_to_train_is_refused(tmp_path):
    text = "who,fold\n" + "".join(f"p{i},{int(i == 3)}\n" for i in range(4))
    with pytest.raises(SourceError, match="fold 0 leaves 1 patients to train and validate"):
        assign_folds(cohort(4), stated(tmp_path, text, folds=2))


def test_defaults_leave_fingerprints_as_they_were_and_folds_are_in_them():
    def content(**split: object) -> object:
        run = {"task": "t", "source": {}, "split": split, "experts": {"a": {"reads": ["x"], "network": {}}}}
        return data_settings(RunConfig.model_validate(run))["split"]

    assert content() == {"salt": "i2m2", "valid": 0.15, "test": 0.15}
    assert len({str(content(**one)) for one in ({}, {"folds": 3}, {"folds": 4}, {"folds": 4, "fold": 1})}) == 4
