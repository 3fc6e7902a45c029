"""Who is in: golden counts on the real demo, and small tables for each rule."""

from pathlib import Path

import pytest

from i2m2_med.errors import SourceError

from .conftest import Build
from .small import at, small_tables, write_tables

READ = {
    "PATIENTS: rows kept (all)": (100, 0),
    "ADMISSIONS: rows kept (all)": (129, 0),
    "ICUSTAYS: rows kept (all)": (136, 0),
    "SERVICES: rows kept (all)": (163, 0),
    "DIAGNOSES_ICD: rows kept (all)": (1761, 0),
    "CHARTEVENTS: rows kept (of mapped items)": (127_098, 631_257),
    "LABEVENTS: rows kept (of mapped items)": (26_507, 49_567),
    "OUTPUTEVENTS: rows kept (of mapped items)": (9_415, 1_905),
    "patients: read": (100, 0),
    "admissions: read": (129, 0),
    "ICU stays: read": (136, 0),
    "admissions: with an ICU stay": (129, 0),
    "ICU stays: admission and patient known": (136, 0),
}
"""758,355 chart events, 76,074 lab events and 11,320 output events in."""
CLEAN = {
    "ICU stays: at least 15 years old at INTIME": (136, 0),
    "ICU stays: first of each patient": (100, 36),
    "ICU stays: in order of time": (100, 0),
    "samples: in the ICU for 24 h": (82, 18),
    "samples: alive at prediction time": (80, 2),
}
COMPAT = {
    "ICU stays: in the patient's first admission": (105, 31),
    "ICU stays: at least 15 years old at ADMITTIME": (105, 0),
    "ICU stays: in order of time": (105, 0),
    "samples: records over more than 24 h": (93, 7),
}
"""105 stays are 100 admissions; 93 of them as measured in the specification."""
IHM48 = {
    "ICU stays: in one ward and unit": (126, 10),
    "ICU stays: only one of its admission": (115, 11),
    "ICU stays: at least 18 years old at INTIME": (114, 1),
    "ICU stays: in order of time": (114, 0),
    "samples: in the ICU for 48 h": (57, 57),
    "samples: alive at prediction time": (57, 0),
}
"""126, 115, 114 and 57 are what mimic3-benchmarks itself counts on the demo."""


@pytest.mark.parametrize(
    ("settings", "steps"), [({}, CLEAN), ({"profile": "i2m2_compat"}, COMPAT), ({"task": "ihm48"}, IHM48)]
)
def test_golden_flow_of_the_demo(
    build: Build, demo: Path, settings: dict[str, str], steps: dict[str, tuple[int, int]]
) -> None:
    built = build(demo, **settings)
    assert built.steps == {**READ, **steps}
    assert len(built.records) == list(steps.values())[-1][0]
    assert built.records["study"].is_unique().all()


def test_golden_labels_of_the_demo(build: Build, demo: Path) -> None:
    def counts(label: str, **settings: object) -> list[int]:
        records = build(demo, **settings).records
        return [int((records[f"label_{label}"] == k).sum()) for k in range(records[f"label_{label}"].max() + 1)]  # type: ignore[operator]

    assert counts("mortality") == [26, 1, 7, 1, 7, 38]
    assert counts("mortality", profile="i2m2_compat") == [27, 3, 1, 8, 27, 27]
    assert counts("ihm48", task="ihm48") == [40, 17]  # 17 positive, as mimic3-benchmarks
    assert counts("icd9_1", task="icd9") == [55, 25]


def test_small_tables_are_all_in(build: Build, tmp_path: Path) -> None:
    built = build(write_tables(tmp_path / "t", small_tables()))
    assert built.records["patient"].to_list() == ["1", "2"]
    assert built.records["study"].to_list() == ["2001", "2002"]
    assert built.records["group_source"].to_list() == ["carevue", "carevue"]
    assert built.records["group_age_band"].to_list() == ["45–64", "45–64"]
    assert built.records["group_ethnicity"].to_list() == ["white", "white"]


def changed(table: str, **values: object) -> dict[str, list[dict[str, object]]]:
    """Small tables whose first patient's row of one table is otherwise."""
    rows = small_tables()[table]
    return {table: [rows[0] | values, *rows[1:]]}


@pytest.mark.parametrize(
    ("change", "step", "why"),
    [
        (changed("ICUSTAYS", OUTTIME=at(-1)), "ICU stays: in order of time", "OUTTIME before INTIME"),
        (changed("ICUSTAYS", HADM_ID=9999), "ICU stays: admission and patient known", "resolve nowhere"),
        (changed("ICUSTAYS", ICUSTAY_ID=2002), "ICU stays: read", "repeated"),
        (changed("PATIENTS", DOB="2140-01-01 00:00:00"), "ICU stays: at least 15 years old at INTIME", "younger"),
        (changed("PATIENTS", DOB=None), "ICU stays: at least 15 years old at INTIME", "unknown"),
        (changed("ICUSTAYS", OUTTIME=at(23)), "samples: in the ICU for 24 h", "too short"),
        (changed("ADMISSIONS", DEATHTIME=at(20)), "samples: alive at prediction time", "died"),
        (changed("PATIENTS", SUBJECT_ID=77), "ICU stays: admission and patient known", "resolve nowhere"),
    ],
)
def test_who_is_left_out_is_counted(build: Build, tmp_path: Path, change: dict, step: str, why: str) -> None:
    built = build(write_tables(tmp_path / "t", small_tables(**change)))
    assert len(built.records) == 1
    found = next(one for one in built.flow.steps if one["step"] == step)
    assert (found["kept"], found["dropped"]) == (1, 1)
    assert why in found["why"]


def test_age_300_years_is_capped(build: Build, tmp_path: Path) -> None:
    root = write_tables(tmp_path / "t", small_tables(**changed("PATIENTS", DOB="1850-01-01 00:00:00")))
    assert build(root).arrays["static"][:, 0].tolist() == pytest.approx([90, 50], abs=0.01)
    days = build(root, age="days").arrays["static"][:, 0]
    assert days == pytest.approx([300 * 365.242, 50 * 365.242], rel=1e-4)


def test_admissions_without_stays_are_counted(build: Build, tmp_path: Path) -> None:
    tables = small_tables()
    tables["ADMISSIONS"].append(tables["ADMISSIONS"][0] | {"HADM_ID": 5, "ADMITTIME": at(-9000)})
    root = write_tables(tmp_path / "t", tables)
    assert build(root).steps["admissions: with an ICU stay"] == (2, 1)
    first = build(
        root, unit="first_admission"
    )  # the first admission of patient 1 has no stay: as published, they are out
    assert first.records["patient"].to_list() == ["2"]


def test_gap_moves_the_prediction_time(build: Build, tmp_path: Path) -> None:
    root = write_tables(tmp_path / "t", small_tables(**changed("ADMISSIONS", DEATHTIME=at(40))))
    assert build(root).records["label_mortality"].to_list() == [1, 0]
    assert build(root, gap_hours=12).records["label_mortality"].to_list() == [1, 0]
    assert build(root, gap_hours=20).records["patient"].to_list() == ["2"]
    assert build(root, window_hours=12, horizons=(24, 48)).records["label_mortality"].to_list() == [2, 0]


def test_nobody_left_is_an_error(build: Build, tmp_path: Path) -> None:
    root = write_tables(tmp_path / "t", small_tables())
    with pytest.raises(SourceError, match="no sample is left"):
        build(root, window_hours=100)
    with pytest.raises(SourceError, match="no ICU stay is left"):
        build(root, minimum_age=70)
