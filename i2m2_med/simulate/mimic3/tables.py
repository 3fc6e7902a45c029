"""Headers of the MIMIC-III tables, and a writer that gives the same bytes for the same rows."""

import gzip
import re
from pathlib import Path
from typing import Literal

import polars as pl

HEADERS = {
    "PATIENTS": "ROW_ID,SUBJECT_ID,GENDER,DOB,DOD,DOD_HOSP,DOD_SSN,EXPIRE_FLAG",
    "ADMISSIONS": "ROW_ID,SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,DEATHTIME,ADMISSION_TYPE,ADMISSION_LOCATION,"
    "DISCHARGE_LOCATION,INSURANCE,LANGUAGE,RELIGION,MARITAL_STATUS,ETHNICITY,EDREGTIME,EDOUTTIME,DIAGNOSIS,"
    "HOSPITAL_EXPIRE_FLAG,HAS_CHARTEVENTS_DATA",
    "ICUSTAYS": "ROW_ID,SUBJECT_ID,HADM_ID,ICUSTAY_ID,DBSOURCE,FIRST_CAREUNIT,LAST_CAREUNIT,FIRST_WARDID,LAST_WARDID,"
    "INTIME,OUTTIME,LOS",
    "TRANSFERS": "ROW_ID,SUBJECT_ID,HADM_ID,ICUSTAY_ID,DBSOURCE,EVENTTYPE,PREV_CAREUNIT,CURR_CAREUNIT,PREV_WARDID,"
    "CURR_WARDID,INTIME,OUTTIME,LOS",
    "SERVICES": "ROW_ID,SUBJECT_ID,HADM_ID,TRANSFERTIME,PREV_SERVICE,CURR_SERVICE",
    "DIAGNOSES_ICD": "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE",
    "CHARTEVENTS": "ROW_ID,SUBJECT_ID,HADM_ID,ICUSTAY_ID,ITEMID,CHARTTIME,STORETIME,CGID,VALUE,VALUENUM,VALUEUOM,WARNING,"
    "ERROR,RESULTSTATUS,STOPPED",
    "LABEVENTS": "ROW_ID,SUBJECT_ID,HADM_ID,ITEMID,CHARTTIME,VALUE,VALUENUM,VALUEUOM,FLAG",
    "OUTPUTEVENTS": "ROW_ID,SUBJECT_ID,HADM_ID,ICUSTAY_ID,CHARTTIME,ITEMID,VALUE,VALUEUOM,STORETIME,CGID,STOPPED,NEWBOTTLE,"
    "ISERROR",
    "NOTEEVENTS": "ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,STORETIME,CATEGORY,DESCRIPTION,CGID,ISERROR,TEXT",
    "D_ITEMS": "ROW_ID,ITEMID,LABEL,ABBREVIATION,DBSOURCE,LINKSTO,CATEGORY,UNITNAME,PARAM_TYPE,CONCEPTID",
    "D_LABITEMS": "ROW_ID,ITEMID,LABEL,FLUID,CATEGORY,LOINC_CODE",
}
MARK = "SIMULATED"
"""A last column that the release does not have, 1 in every row: a subset, a copy or another format of a table still says what it is.
Readers that go by column names, as the release asks for, pass it over."""
DATES = {"CHARTDATE"}
QUOTED_TIME = re.compile(rb'"(\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d)?)"(?=[,\n])')


def write_csv(folder: Path, name: str, rows: pl.DataFrame) -> int:
    """Write `<NAME>.csv.gz` as the release does: quoted strings, plain numbers and times, nothing for null. Returns the row count.

    rows: any of the table's columns; ROW_ID and the mark of simulated tables are added, and columns that are not there are null.
    """
    columns = [*HEADERS[name].split(","), MARK]
    numbered = rows.with_columns(
        pl.int_range(1, rows.height + 1, dtype=pl.Int64).alias("ROW_ID"), pl.lit(1).alias(MARK)
    )
    missing = [pl.lit(None, pl.String).alias(column) for column in columns if column not in numbered.columns]
    write_rows(folder / f"{name}.csv.gz", numbered.with_columns(missing).select(columns), "non_numeric")
    return rows.height


def write_rows(path: Path, table: pl.DataFrame, quotes: Literal["non_numeric", "necessary"]) -> None:
    """A table as csv.gz, the same bytes for the same rows; times plain, dates and those of `DATES` without hours."""
    times = [
        pl.col(c).dt.strftime("%Y-%m-%d" if c in DATES or table[c].dtype == pl.Date else "%Y-%m-%d %H:%M:%S")
        for c in table.columns
        if table[c].dtype.is_temporal()
    ]
    text = table.with_columns(times).write_csv(quote_style=quotes).encode()
    with path.open("wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
        packed.write(QUOTED_TIME.sub(rb"\1", text))
