"""MIMIC-III's demo (its MetaVision patients) under MIMIC-IV's names and folders gives what it gives under its own."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.sources.mimic3.tables import TABLES

from .conftest import Build

HOSPITAL = ("PATIENTS", "ADMISSIONS", "SERVICES", "DIAGNOSES_ICD", "LABEVENTS")
KINDS = {"EMERGENCY": "EW EMER.", "ELECTIVE": "SURGICAL SAME DAY ADMISSION", "URGENT": "URGENT"}


def renamed(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """A table of MIMIC-III as MIMIC-IV has it."""
    if name == "PATIENTS":
        born = pl.col("DOB").str.head(4).cast(pl.Int64)
        rows = rows.with_columns(ANCHOR_AGE=pl.lit(40), ANCHOR_YEAR=born + 40).drop("DOB")
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


@pytest.mark.parametrize("settings", [{}, {"task": "icd9", "icd9_group": 7}, {"task": "ihm48"}])
def test_samples_are_the_same_under_either_name(
    roots: tuple[Path, Path], build: Build, settings: dict[str, object]
) -> None:
    three, four = (build(root, **settings) for root in roots)
    np.testing.assert_array_equal(four.arrays["series"], three.arrays["series"])
    np.testing.assert_array_equal(four.arrays["static"][:, 1:], three.arrays["static"][:, 1:])
    older = four.arrays["static"][:, 0] - three.arrays["static"][:, 0]  # born on 1 January
    assert ((older > -0.01) & (older < 1.01)).all()
    labels = [name for name in three.records.columns if name.startswith("label_")]
    assert four.records.select("patient", "study", *labels).equals(three.records.select("patient", "study", *labels))
    assert "ICD-10 codes are not read" in four.flow.audits["release"]
    assert "release" not in three.flow.audits


def test_what_is_coded_in_icd10_is_unknown(roots: tuple[Path, Path], build: Build, tmp_path: Path) -> None:
    folder = tmp_path / "ten"
    for path in roots[1].rglob("*.gz"):
        rows = pl.read_csv(path, infer_schema=False)
        rows = rows.with_columns(icd_version=pl.lit("10")) if "icd_version" in rows.columns else rows
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        rows.write_csv(folder / path.parent.name / path.name, compression="gzip")
    made = build(folder, task="icd9", icd9_group=7)
    assert set(made.records["label_icd9_7"]) == {-1}
