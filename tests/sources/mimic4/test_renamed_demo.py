"""MIMIC-III's demo (its MetaVision patients) under MIMIC-IV's names and folders gives what it gives under its own, whether coded
in ICD-9 or in ICD-10."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.mimic3.labels import group_of
from i2m2_med.sources.mimic3.static import COMORBIDITIES
from i2m2_med.sources.mimic3.tables import TABLES
from i2m2_med.sources.mimic4 import Settings
from tests.sources.mimic3.conftest import Build, Built

HOSPITAL = ("PATIENTS", "ADMISSIONS", "SERVICES", "DIAGNOSES_ICD", "LABEVENTS")
KINDS = {"EMERGENCY": "EW EMER.", "ELECTIVE": "SURGICAL SAME DAY ADMISSION", "URGENT": "URGENT"}


def renamed(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """A table of MIMIC-III as MIMIC-IV has it."""
    if name == "PATIENTS":
        born = pl.col("DOB").str.head(4).cast(pl.Int64)
        rows = rows.with_columns(
            ANCHOR_AGE=pl.lit(40), ANCHOR_YEAR=born + 40, ANCHOR_YEAR_GROUP=pl.lit("2008 - 2010")
        ).drop("DOB")
    elif name == "ADMISSIONS":
        rows = rows.with_columns(pl.col("ADMISSION_TYPE").replace(KINDS)).rename({"ETHNICITY": "RACE"})
    elif name == "DIAGNOSES_ICD":
        rows = rows.with_columns(ICD_VERSION=pl.lit(9)).rename({"ICD9_CODE": "ICD_CODE"})
    elif name == "LABEVENTS":
        rows = rows.rename({"ROW_ID": "LABEVENT_ID"})
    stay = {"ICUSTAY_ID": "STAY_ID"} if "ICUSTAY_ID" in rows.columns else {}
    gone = ["ROW_ID", "DBSOURCE", "FIRST_WARDID", "LAST_WARDID", "ERROR", "ISERROR"]
    return rows.rename(stay).drop(gone, strict=False).rename(str.lower)


@pytest.fixture(scope="module")
def roots(thin: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same patients in both layouts."""
    three, four = tmp_path_factory.mktemp("three"), tmp_path_factory.mktemp("four")
    stays = pl.read_csv(thin / "ICUSTAYS.csv.gz", infer_schema=False)
    old = stays.filter(pl.col("DBSOURCE") != "metavision")["SUBJECT_ID"].to_list()
    for name in TABLES:
        if name == "NOTEEVENTS":
            continue
        rows = pl.read_csv(thin / f"{name}.csv.gz", infer_schema=False).filter(~pl.col("SUBJECT_ID").is_in(old))
        for mark in {"ERROR", "ISERROR"} & set(rows.columns):  # MIMIC-IV marks no errors
            rows = rows.filter(pl.col(mark).fill_null("0") != "1")
        rows.write_csv(three / f"{name}.csv.gz", compression="gzip")
        place = four / ("hosp" if name in HOSPITAL else "icu") / f"{name.lower()}.csv.gz"
        place.parent.mkdir(exist_ok=True)
        renamed(name, rows).write_csv(place, compression="gzip")
    return three, four


def assert_alike(three: Built, four: Built) -> None:
    """Same series, statics (but for the age, known to the year) and labels."""
    np.testing.assert_array_equal(four.arrays["series"], three.arrays["series"])
    np.testing.assert_array_equal(four.arrays["static"][:, 1:], three.arrays["static"][:, 1:])
    older = four.arrays["static"][:, 0] - three.arrays["static"][:, 0]  # born on 1 January
    assert ((older > -0.01) & (older < 1.01)).all()
    labels = [name for name in three.records.columns if name.startswith("label_")]
    assert four.records.select("patient", "study", *labels).equals(three.records.select("patient", "study", *labels))


@pytest.mark.parametrize("settings", [{}, {"task": "icd9", "icd9_group": 7}, {"task": "ihm48"}])
def test_samples_are_the_same_under_either_name(
    roots: tuple[Path, Path], build: Build, settings: dict[str, object]
) -> None:
    three, four = build(roots[0], **settings), build(roots[1], name="mimic4", **settings)
    assert_alike(three, four)
    assert "group_years" not in three.records.columns
    assert four.records["group_years"].to_list() == ["2008 - 2010"] * four.records.height
    assert any("of a version other than 2.2 and 3.1" in remark for remark in four.flow.remarks)
    assert not any("of a version" in remark for remark in three.flow.remarks)


@pytest.mark.parametrize("group", [1, 7, 19])
def test_a_group_is_the_same_in_icd10(roots: tuple[Path, Path], build: Build, coded_in_10: Path, group: int) -> None:
    """Every second admission coded in ICD-10, each code by one of the same group."""
    settings = {"task": "icd9", "icd9_group": group, "comorbidities": "this_admission"}
    three, four = build(roots[0], **settings), build(coded_in_10, name="mimic4", **settings)
    assert four.flow.audits["diagnoses"]["ICD-10"] > 300
    assert_alike(three, four)


COUNTERPARTS = {
    0: "A419", 1: "C3490", 2: "E119", 3: "D649", 4: "F329", 5: "G4733", 6: "I10", 7: "J189", 8: "K7460", 9: "N179", 10: "O9989",
    11: "L89159", 12: "M1990", 13: "Q211", 14: "P0739", 15: "R000", 16: "R7881", 17: "R99", 18: "T8140XA", 19: "Z87891", 20: "W19XXXA",
}  # fmt: skip


@pytest.fixture(scope="module")
def coded_in_10(roots: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every second admission's codes in ICD-10, the comorbid ones by comorbid ones."""
    folder = tmp_path_factory.mktemp("ten")
    shutil.copytree(roots[1], folder, dirs_exist_ok=True)
    path = folder / "hosp" / "diagnoses_icd.csv.gz"
    rows = pl.read_csv(path, infer_schema=False)
    code, padded = pl.col("icd_code"), pl.col("icd_code").str.pad_end(5, " ")
    comorbid = {"aids": "B20", "hematologic_malignancy": "C9110", "metastatic_cancer": "C7951"}
    tenth = group_of(code).replace_strict(COUNTERPARTS, default=None, return_dtype=pl.String)
    for name, ranges in COMORBIDITIES.items():
        of_it = pl.any_horizontal((padded >= low) & (padded <= high) for low, high in ranges)
        tenth = pl.when(of_it).then(pl.lit(comorbid[name])).otherwise(tenth)
    chosen = (pl.col("hadm_id").cast(pl.Int64) % 2 == 0) & tenth.is_not_null()
    rows.with_columns(
        icd_code=pl.when(chosen).then(tenth).otherwise(code),
        icd_version=pl.when(chosen).then(pl.lit("10")).otherwise("icd_version"),
    ).write_csv(path, compression="gzip")
    return folder


def test_what_is_coded_in_neither_version_is_refused(roots: tuple[Path, Path], build: Build, tmp_path: Path) -> None:
    shutil.copytree(roots[1], tmp_path / "eleven")
    path = tmp_path / "eleven" / "hosp" / "diagnoses_icd.csv.gz"
    rows = pl.read_csv(path, infer_schema=False).with_columns(icd_version=pl.lit("11"))
    rows.write_csv(path, compression="gzip")
    with pytest.raises(SourceError, match="ICD_VERSION is neither 9 nor 10 in 100 % of its rows"):
        build(tmp_path / "eleven", name="mimic4")


def test_horizons_beyond_the_follow_up_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one year after a patient's last discharge"):
        Settings(root=tmp_path, horizons=(24.0, 9000.0))
