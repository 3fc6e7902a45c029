"""Small made-up tables in the release's columns."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl


def write_tables(folder: Path, tables: dict[str, list[dict[str, Any]]]) -> Path:
    """Tables as csv.gz with the columns of their rows."""
    folder.mkdir(exist_ok=True, parents=True)
    for name, rows in tables.items():
        with gzip.open(folder / f"{name}.csv.gz", "wb") as file:
            pl.DataFrame(rows, infer_schema_length=None).write_csv(file, quote_style="non_numeric")
    return folder


def small_tables(**changes: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Two adults with an ICU stay of three days from noon on 1 January 2150 (HADM = SUBJECT + 1000, ICUSTAY + 2000)."""
    who = (1, 2)
    ids = [{"SUBJECT_ID": s, "HADM_ID": s + 1000, "ICUSTAY_ID": s + 2000} for s in who]
    tables: dict[str, list[dict[str, Any]]] = {
        "PATIENTS": [{"SUBJECT_ID": s, "GENDER": "F", "DOB": "2100-01-01 00:00:00", "DOD": None} for s in who],
        "ADMISSIONS": [
            {
                "SUBJECT_ID": s, "HADM_ID": s + 1000, "ADMITTIME": "2150-01-01 10:00:00", "DISCHTIME": "2150-01-09 10:00:00",
                "DEATHTIME": None, "ADMISSION_TYPE": "EMERGENCY", "INSURANCE": "Medicare", "ETHNICITY": "WHITE",
                "HOSPITAL_EXPIRE_FLAG": 0,
            }
            for s in who
        ],
        "ICUSTAYS": [
            {
                **i, "DBSOURCE": "carevue", "FIRST_CAREUNIT": "MICU", "LAST_CAREUNIT": "MICU", "FIRST_WARDID": 5,
                "LAST_WARDID": 5, "INTIME": "2150-01-01 12:00:00", "OUTTIME": "2150-01-04 12:00:00",
            }
            for i in ids
        ],
        "SERVICES": [{"SUBJECT_ID": s, "HADM_ID": s + 1000, "TRANSFERTIME": "2150-01-01 10:00:00", "CURR_SERVICE": "MED"} for s in who],
        "DIAGNOSES_ICD": [{"SUBJECT_ID": s, "HADM_ID": s + 1000, "SEQ_NUM": 1, "ICD9_CODE": "4280"} for s in who],
        "CHARTEVENTS": [chart(s, 211, 0.5, 80.0, row=s) for s in who],
        "LABEVENTS": [lab(s, 51006, 1.0, 20.0, row=s) for s in who],
        "OUTPUTEVENTS": [
            {"ROW_ID": s, "SUBJECT_ID": s, "HADM_ID": s + 1000, "ICUSTAY_ID": s + 2000, "ITEMID": 40055, "CHARTTIME": at(2), "VALUE": 50, "VALUEUOM": "ml", "ISERROR": None}
            for s in who
        ],
        "NOTEEVENTS": [note(s, 3.0, "Pt resting.", row=s) for s in who],
    }  # fmt: skip
    return {**tables, **changes}


def at(hours: float) -> str:
    """Hours after the ICU admission of the small tables."""
    return str(np.datetime64("2150-01-01T12:00:00") + np.timedelta64(round(hours * 3600), "s")).replace("T", " ")


def chart(subject: int, item: int, hours: float, number: float | None, *, row: int, **other: Any) -> dict[str, Any]:
    return {
        "ROW_ID": row, "SUBJECT_ID": subject, "HADM_ID": subject + 1000, "ICUSTAY_ID": subject + 2000, "ITEMID": item,
        "CHARTTIME": at(hours), "VALUE": None if number is None else str(number), "VALUENUM": number, "VALUEUOM": None, "ERROR": None,
    } | other  # fmt: skip


def lab(subject: int, item: int, hours: float, number: float | None, *, row: int, **other: Any) -> dict[str, Any]:
    return {
        "ROW_ID": row, "SUBJECT_ID": subject, "HADM_ID": subject + 1000, "ITEMID": item, "CHARTTIME": at(hours),
        "VALUE": None if number is None else str(number), "VALUENUM": number, "VALUEUOM": "mg/dL",
    } | other  # fmt: skip


def note(subject: int, hours: float | None, text: str, *, row: int, **other: Any) -> dict[str, Any]:
    time = None if hours is None else at(hours)
    return {
        "ROW_ID": row, "SUBJECT_ID": subject, "HADM_ID": subject + 1000, "CHARTDATE": at(hours or 0)[:10], "CHARTTIME": time,
        "STORETIME": time, "CATEGORY": "Nursing/other", "DESCRIPTION": "Report", "ISERROR": None, "TEXT": text,
    } | other  # fmt: skip
