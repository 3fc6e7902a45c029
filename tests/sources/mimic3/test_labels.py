"""What is predicted, and the static columns."""

from pathlib import Path

import polars as pl
import pytest

from i2m2_med.sources.mimic3 import Settings
from i2m2_med.sources.mimic3.labels import group_of, horizon_name, labels_of
from i2m2_med.sources.mimic3.static import COMORBIDITIES

from .conftest import Build
from .small import at, small_tables, write_tables


@pytest.mark.parametrize(
    ("code", "group"),
    [
        ("0010", 0), ("1398", 0), ("1400", 1), ("2399", 1), ("240", 2), ("2800", 3), ("290", 4), ("320", 5), ("3900", 6),
        ("4600", 7), ("5199", 7), ("520", 8), ("580", 9), ("630", 10), ("677", 10), ("67800", None), ("6790", None),
        ("680", 11), ("710", 12), ("740", 13), ("760", 14), ("780", 15), ("790", 16), ("797", 17), ("8000", 18), ("99999", 18),
        ("V4581", 19), ("E8788", 20), ("", None), ("XYZ", None),
    ],
)  # fmt: skip
def test_icd9_groups(code: str, group: int | None) -> None:
    assert pl.DataFrame({"code": [code]}).select(group_of(pl.col("code"))).item() == group


def test_labels_are_known_from_settings_alone() -> None:
    root = Path("anywhere")
    assert labels_of(Settings(root=root)).classes == ("beyond", "1 day", "2 days", "3 days", "1 week", "1 year")
    assert labels_of(Settings(root=root, profile="i2m2_compat")).classes[4] == "30 days after discharge"
    assert labels_of(Settings(root=root, task="icd9", icd9_group=7)).names == ("icd9_7",)
    assert labels_of(Settings(root=root, task="ihm48")).classes == ("survived", "died")
    assert horizon_name(36.0) == "36 hours"


@pytest.mark.parametrize(
    ("died", "label"), [(30, 1), (48, 1), (49, 2), (90, 3), (100, 4), (24 * 20, 5), (24 * 400, 0), (None, 0)]
)
def test_exclusive_horizons(build: Build, tmp_path: Path, died: float | None, label: int) -> None:
    tables = small_tables()
    tables["ADMISSIONS"][0] |= {"DEATHTIME": None if died is None else at(died)}
    records = build(write_tables(tmp_path / "t", tables)).records
    assert records["label_mortality"][0] == label
    assert records["_censored"].to_list() == [died is None, True]
    assert records["_hours"][0] == pytest.approx((190 if died is None else died) - 24)


def test_a_date_of_death_counts_until_its_end(build: Build, tmp_path: Path) -> None:
    tables = small_tables()
    tables["PATIENTS"][0] |= {"DOD": "2150-01-02 00:00:00"}  # the window ends at noon of that day
    assert build(write_tables(tmp_path / "t", tables)).records["label_mortality"].to_list() == [1, 0]


@pytest.mark.parametrize(
    ("admission", "dod", "label"),
    [
        ({"DEATHTIME": at(20)}, at(20), 1),
        ({"DEATHTIME": at(40)}, at(40), 2),
        ({"DEATHTIME": at(71)}, at(71), 3),
        (
            {"DEATHTIME": at(150), "DISCHTIME": at(150)},
            at(150),
            4,
        ),  # in hospital, later than three days: "30 days after discharge"
        ({}, "2150-01-30 00:00:00", 4),
        ({}, "2150-05-30 00:00:00", 5),
        ({}, "2152-05-30 00:00:00", 0),
        ({}, None, 0),
    ],
)
def test_published_mortality(build: Build, tmp_path: Path, admission: dict, dod: str | None, label: int) -> None:
    tables = small_tables()
    tables["ADMISSIONS"][0] |= admission
    tables["PATIENTS"][0] |= {"DOD": dod}
    root = write_tables(tmp_path / "t", tables)
    assert build(root, outcome="published").records["label_mortality"].to_list() == [label, 0]


def codes(*rows: tuple[int, int, str]) -> list[dict[str, object]]:
    """(subject, admission, code)."""
    return [{"SUBJECT_ID": s, "HADM_ID": h, "SEQ_NUM": n, "ICD9_CODE": c} for n, (s, h, c) in enumerate(rows)]


def test_an_admission_without_codes_is_unknown(build: Build, tmp_path: Path) -> None:
    root = write_tables(tmp_path / "t", small_tables(DIAGNOSES_ICD=codes((1, 1001, "1629"))))
    assert build(root, task="icd9").records["label_icd9_1"].to_list() == [1, -1]


def test_comorbidities_of_earlier_admissions_only(build: Build, tmp_path: Path) -> None:
    tables = small_tables(DIAGNOSES_ICD=codes((1, 1001, "1970"), (1, 7, "20280"), (2, 8, "042")))
    first = tables["ADMISSIONS"]
    first += [first[0] | {"HADM_ID": 7, "ADMITTIME": at(-900), "DISCHTIME": at(-800)}]
    first += [first[1] | {"HADM_ID": 8, "ADMITTIME": at(900), "DISCHTIME": at(950)}]  # after: not known yet
    root = write_tables(tmp_path / "t", tables)
    assert build(root).arrays["static"][:, 1:4].tolist() == [[0, 1, 0], [0, 0, 0]]
    assert build(root, comorbidities="this_admission").arrays["static"][:, 1:4].tolist() == [[0, 0, 1], [0, 0, 0]]
    assert (
        build(root, comorbidities="this_admission", cancer_flags=False).arrays["static"][:, 1:4].tolist()
        == [[0] * 3] * 2
    )


@pytest.mark.parametrize(
    ("kind", "service", "number"),
    [
        ("ELECTIVE", "CSURG", 1),
        ("EMERGENCY", "NSURG", 2),
        ("EMERGENCY", "MED", 0),
        ("ELECTIVE", "ORTHO", 0),
        ("URGENT", "SURG", 2),
    ],
)
def test_admission_type(build: Build, tmp_path: Path, kind: str, service: str, number: int) -> None:
    tables = small_tables()
    tables["ADMISSIONS"][0] |= {"ADMISSION_TYPE": kind}
    tables["SERVICES"] = [
        tables["SERVICES"][0] | {"CURR_SERVICE": service},
        tables["SERVICES"][0] | {"TRANSFERTIME": at(50), "CURR_SERVICE": "SURG"},
    ]
    built = build(write_tables(tmp_path / "t", tables))
    assert built.arrays["static"][:, 4].tolist() == pytest.approx(
        [number, float("nan")], nan_ok=True
    )  # no service: absent


def test_cancer_flags_stand_for_the_label(build: Build, demo: Path) -> None:
    """As measured in the specification: whoever has one is positive for task 1."""
    built = build(demo, task="icd9", comorbidities="this_admission")
    flagged = built.arrays["static"][:, 2:4].any(axis=1)
    assert flagged.sum() > 10
    assert (built.records["label_icd9_1"].to_numpy()[flagged] == 1).all()
    assert set(COMORBIDITIES) == {"aids", "hematologic_malignancy", "metastatic_cancer"}
