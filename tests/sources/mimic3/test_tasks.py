"""The tasks of mimic3-benchmarks and readmission: counted on the real demo by another program, and blind to the future."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from i2m2_med.sources.mimic3 import Settings
from i2m2_med.sources.mimic3.labels import labels_of
from i2m2_med.sources.mimic3.phenotypes import read_phenotypes

from . import by_pandas
from .conftest import Build, Built
from .erasure import CELLS, EVENTS, ROWS, TABLES, moment, read
from .small import at, chart, small_tables, write_tables

PUBLISHED = {"los": 1_899 + 9_042, "decompensation": 1_874 + 8_989, "phenotyping": 18 + 95}
"""Samples of the demo as mimic3-benchmarks' own code makes them; it keeps hours after death in `los`, and no stay without a value."""


def by_study(built: Built, label: str) -> dict[str, int]:
    return dict(built.records.select("study", f"label_{label}").iter_rows())


def by_hour(built: Built, label: str) -> dict[tuple[str, int], int]:
    return {
        (study, hour): value
        for study, hour, value in built.records.select("study", "item", f"label_{label}").iter_rows()
    }


@pytest.mark.parametrize("task", ["los", "decompensation"])
def test_hourly_tasks_as_another_program_counts_them(build: Build, thin: Path, task: str) -> None:
    built = build(thin, task=task)
    assert by_hour(built, task) == getattr(by_pandas, task)(thin)
    assert built.steps["samples: hours in the ICU"][0] == PUBLISHED["los"]
    assert built.steps["samples: alive at prediction time"][0] == PUBLISHED["decompensation"]
    assert built.arrays["series"].shape == (PUBLISHED["decompensation"], 24, 17)


def test_readmission_as_another_program_counts_it(build: Build, thin: Path) -> None:
    assert by_study(build(thin, task="readmission"), "readmission") == by_pandas.readmission(thin)


def test_phenotypes_as_another_program_counts_them(build: Build, thin: Path) -> None:
    built = build(thin, task="phenotyping")
    assert built.records.height == PUBLISHED["phenotyping"] + 1
    for name in by_pandas.RANGES:
        assert by_study(built, name) == by_pandas.phenotype(thin, name), name


def test_the_phenotypes_are_25_groups_that_share_no_code() -> None:
    groups = read_phenotypes()
    codes = groups["codes"].explode()
    assert groups.height == groups["ccs"].n_unique() == 25
    assert codes.n_unique() == codes.len() == sum(groups["codes"].list.len())
    assert codes.str.contains(r"^(?:\d{3,5}|V\d{2,4})$").all()
    assert len(labels_of(Settings(root=Path("x"), task="phenotyping")).names) == 25


def erase_after(root: Path, out: Path, ends: pl.DataFrame, keep: tuple[str, ...] = ()) -> Path:
    """The tables without what came after `end` of each SUBJECT_ID; who was in the ICU then is taken to leave at `end`."""
    out.mkdir()
    coded_later = read(root, "ADMISSIONS").join(ends, on="SUBJECT_ID").filter(moment("DISCHTIME") > pl.col("end"))
    for name in TABLES:
        table = read(root, name).join(ends, on="SUBJECT_ID", how="left", maintain_order="left")
        known = pl.col("end").is_null()
        if name in ROWS:
            table = table.filter(known | (moment(ROWS[name]) <= pl.col("end")).fill_null(True))
        if name in EVENTS and "STORETIME" in table.columns:
            table = table.filter(known | (moment("STORETIME") <= pl.col("end")).fill_null(True))
        if name == "DIAGNOSES_ICD":
            table = table.join(coded_later.select("HADM_ID"), on="HADM_ID", how="anti", maintain_order="left")
        for cell in (cell for cell in CELLS.get(name, ()) if cell not in keep):
            later = (moment(cell) > pl.col("end")).fill_null(False)
            left = pl.col("end").dt.strftime("%Y-%m-%d %H:%M:%S") if cell == "OUTTIME" else pl.lit(None, pl.String)
            table = table.with_columns(pl.when(later).then(left).otherwise(cell).alias(cell))
        table.drop("end").write_csv(out / f"{name}.csv", quote_style="necessary")
    return out


def test_hourly_inputs_know_nothing_of_the_future(build: Build, thin: Path, tmp_path: Path) -> None:
    """Each patient's tables end at some hour; all samples up to it stay the same bytes, and so do the labels' hours."""
    settings = {"task": "decompensation", "series_channels": ["value", "mask", "since"]}
    before = build(thin, **settings)
    assert before.source.settings.claims_clean
    first = before.records.with_row_index("at").filter(pl.col("study") == pl.col("study").first().over("patient"))
    chosen = first.filter(pl.col("item") == pl.col("item").median().floor().over("patient"))
    begins = read(thin, "ICUSTAYS").select(study="ICUSTAY_ID", begin=moment("INTIME"))
    ends = chosen.join(begins, on="study").select(
        SUBJECT_ID="patient", study="study", hour="item", end=pl.col("begin") + pl.duration(hours="item")
    )
    erased = build(erase_after(thin, tmp_path / "erased", ends.drop("study", "hour")), **settings)
    place = {key: row for row, key in enumerate(erased.records.select("study", "item").iter_rows())}
    judged = first.join(ends, on="study").filter(pl.col("item") <= pl.col("hour"))
    assert judged.height > 2_000
    rows, others = judged["at"].to_numpy(), [place[key] for key in judged.select("study", "item").iter_rows()]
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(array[rows].view(np.uint32), erased.arrays[name][others].view(np.uint32), name)


@pytest.mark.parametrize("task", ["phenotyping", "readmission"])
def test_inputs_at_discharge_know_nothing_of_what_follows(build: Build, thin: Path, tmp_path: Path, task: str) -> None:
    """Erased is what came after the ICU; of the admission only its end stays, which is when a readmission is asked for."""
    before = build(thin, task=task)
    stays = read(thin, "ICUSTAYS").select("SUBJECT_ID", study="ICUSTAY_ID", end=moment("OUTTIME"))
    first = before.records.with_row_index("at").join(stays, on="study").sort("end").unique("patient", keep="first")
    erased = build(
        erase_after(thin, tmp_path / "erased", first.select("SUBJECT_ID", "end"), keep=("DISCHTIME",)), task=task
    )
    place = {study: row for row, study in enumerate(erased.records["study"])}
    assert first.height > 50
    for name, array in before.arrays.items():
        others = [place[study] for study in first["study"]]
        np.testing.assert_array_equal(array[first["at"]].view(np.uint32), erased.arrays[name][others].view(np.uint32))


def test_at_the_hour_of_the_window_an_hourly_sample_is_the_usual_one(build: Build, demo: Path) -> None:
    """With every value known when charted, the sample of hour 48 is that of a 48-hour window."""
    common = {"available": "charted", "window_hours": 48, "series_channels": ["value", "mask", "since"]}
    usual = build(demo, task="ihm48", **common)
    hourly = build(demo, task="los", first_hour=48, last_hour=48, **common)
    assert hourly.records["study"].to_list() == usual.records["study"].to_list()
    np.testing.assert_array_equal(hourly.arrays["series"], usual.arrays["series"])
    np.testing.assert_array_equal(hourly.arrays["static"], usual.arrays["static"])


def test_wider_bins_are_the_last_of_their_hours(build: Build, demo: Path) -> None:
    narrow = build(demo, task="ihm48").arrays["series"]
    wide = build(demo, task="ihm48", bin_hours=4, series_channels=["value", "mask", "since"]).arrays["series"]
    assert wide.shape == (57, 12, 51)
    np.testing.assert_array_equal(wide[..., :17], narrow[:, 3::4])  # each carries the last value on
    since = wide[..., 34:]
    assert set(np.unique(since[np.isfinite(since)]) % 4) == {0.0}


def test_a_value_counts_from_the_hour_in_which_it_was_stored(build: Build, tmp_path: Path) -> None:
    rows = [
        chart(1, 211, 1.5, 80, row=1, STORETIME=at(1.6)),
        chart(1, 211, 5.5, 90, row=2, STORETIME=at(9.2)),  # known in the tenth hour
        chart(1, 211, 6.5, 100, row=3, STORETIME=at(6.9)),
        chart(2, 211, 2.0, 70, row=4, STORETIME=at(8.0)),  # stored on the hour: known then
    ]
    built = build(write_tables(tmp_path / "t", small_tables(CHARTEVENTS=rows)), task="los")
    heart = {
        (study, hour): built.arrays["series"][row, -1, 8]
        for row, (study, hour) in enumerate(built.records.select("study", "item").iter_rows())
    }
    assert [heart["2001", hour] for hour in (5, 6, 7, 8, 9, 10, 11)] == [80, 80, 100, 100, 100, 100, 100]
    assert min(hour for study, hour in heart if study == "2002") == 8
    assert heart["2002", 8] == 70


@pytest.mark.parametrize(
    ("death", "flag", "given"),
    [(60.0, 1, {36: 0, 37: 1, 59: 1}), (None, 0, {5: 0, 72: 0}), (None, 1, {5: -1, 72: -1}), (None, None, {5: -1})],
)
def test_decompensation_is_death_in_hospital_within_a_day(
    build: Build, tmp_path: Path, death: float | None, flag: int | None, given: dict[int, int]
) -> None:
    tables = small_tables()
    tables["ADMISSIONS"][0] |= {"DEATHTIME": None if death is None else at(death), "HOSPITAL_EXPIRE_FLAG": flag}
    found = by_hour(build(write_tables(tmp_path / "t", tables), task="decompensation"), "decompensation")
    assert {hour: found["2001", hour] for hour in given} == given
    assert max(hour for study, hour in found if study == "2001") == (59 if death else 72)


@pytest.mark.parametrize(
    ("after_days", "kind", "label"),
    [
        (0, "EMERGENCY", 1),
        (30, "URGENT", 1),
        (30.1, "EMERGENCY", 0),
        (5, "ELECTIVE", 0),
        (5, None, -1),
        (-20, "EMERGENCY", 0),
    ],
)
def test_readmission_is_unplanned_and_within_thirty_days(
    build: Build, tmp_path: Path, after_days: float, kind: str | None, label: int
) -> None:
    tables = small_tables()
    begin = 190 + 24 * after_days  # discharged 190 h after admission to the ICU
    again = tables["ADMISSIONS"][0] | {
        "HADM_ID": 7,
        "ADMITTIME": at(begin),
        "DISCHTIME": at(begin + 9),
        "ADMISSION_TYPE": kind,
    }
    tables["ADMISSIONS"].append(again)
    assert build(write_tables(tmp_path / "t", tables), task="readmission").records["label_readmission"].to_list() == [
        label,
        0,
    ]


def test_codes_in_small_letters_and_with_dots_are_the_same(build: Build, thin: Path, tmp_path: Path) -> None:
    for path in thin.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "DIAGNOSES_ICD.csv.gz").unlink()
    code = pl.col("ICD9_CODE").str.to_lowercase()
    dotted = (
        pl.when(code.str.contains(r"^\d{4,}$"))
        .then(pl.format("{}.{}", code.str.head(3), code.str.slice(3)))
        .otherwise(code)
    )
    read(thin, "DIAGNOSES_ICD").with_columns(ICD9_CODE=dotted).write_csv(tmp_path / "DIAGNOSES_ICD.csv")
    assert build(tmp_path, task="phenotyping").records.equals(build(thin, task="phenotyping").records)


def test_an_admission_without_icd9_codes_has_no_phenotype(build: Build, tmp_path: Path) -> None:
    codes = [{"SUBJECT_ID": 1, "HADM_ID": 1001, "SEQ_NUM": 1, "ICD9_CODE": "4280"}]
    built = build(write_tables(tmp_path / "t", small_tables(DIAGNOSES_ICD=codes)), task="phenotyping")
    records = built.records
    assert "1 of 2 samples have no label that can be known." in built.flow.remarks
    assert records["label_congestive_heart_failure"].to_list() == [1, -1]
    assert records["label_shock"].to_list() == [0, -1]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"task": "los", "channels": "saps12"}, "needs channels: benchmark17"),
        ({"task": "decompensation", "profile": "i2m2_compat"}, "needs origin: icu_intime"),
        ({"task": "los", "bin_hours": 2}, "needs bin_hours: 1"),
        ({"task": "los", "unit": "first_admission"}, "unit of single stays"),
        ({"task": "los", "first_hour": 9, "last_hour": 8}, "before first_hour"),
        ({"bin_hours": 5}, "multiple of bin_hours"),
        ({"task": "phenotyping", "fill": "whole_stay"}, "needs fill: causal"),
        ({"los_days": [3, 1]}, "rising order"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings(root=Path("x"), **settings)
