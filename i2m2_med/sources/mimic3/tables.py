"""The tables that are read: their columns, types, and how many rows the full release (v1.4) holds."""

from dataclasses import dataclass
from typing import Any

import polars as pl

ID = pl.Int64()
NUMBER = pl.Float64()
TIME = pl.Datetime("us")
TEXT = pl.String()
MARK = pl.Boolean()
"""A 0/1 mark (ERROR, ISERROR); blank is no mark."""


@dataclass(frozen=True)
class Table:
    """One table of MIMIC-III as the pipeline keeps it."""

    columns: dict[str, Any]
    """Kept columns and their polars types; a file may hold more, in any order, in either case."""
    rows: int
    """Rows of the full release (MIMIC-III v1.4, published)."""
    by_item: bool = False
    """Whether only rows of mapped items are kept."""
    optional: tuple[str, ...] = ()
    """Of the columns, those that a file may lack: they are null then, and the manifest says so."""
    given: tuple[str, ...] = ()
    """Of the columns, times whose being filled in is known even where it can't be read: as `NAME_GIVEN`, true or false."""

    @property
    def schema(self) -> dict[str, Any]:
        """Columns of the typed table."""
        return {**self.columns, **{f"{name}_GIVEN": MARK for name in self.given}}


EVENT = {
    "ROW_ID": ID,
    "SUBJECT_ID": ID,
    "HADM_ID": ID,
    "ITEMID": ID,
    "CHARTTIME": TIME,
    "STORETIME": TIME,
    "VALUEUOM": TEXT,
}
NOTE = {
    "ROW_ID": ID,
    "SUBJECT_ID": ID,
    "HADM_ID": ID,
    "CHARTDATE": TIME,
    "CHARTTIME": TIME,
    "STORETIME": TIME,
    "CATEGORY": TEXT,
    "DESCRIPTION": TEXT,
    "ISERROR": MARK,
    "TEXT": TEXT,
}
HOURLY = ("ADMITTIME", "INTIME", "OUTTIME", "TRANSFERTIME", "CHARTTIME", "STORETIME")
"""Times that are nothing worth without their hour."""
TABLES: dict[str, Table] = {
    "PATIENTS": Table(
        {"SUBJECT_ID": ID, "GENDER": TEXT, "DOB": TIME, "DOD": TIME, "EXPIRE_FLAG": ID, "ANCHOR_YEAR_GROUP": TEXT},
        46_520,
        optional=("EXPIRE_FLAG", "ANCHOR_YEAR_GROUP"),
        given=("DOD",),
    ),
    "ADMISSIONS": Table(
        {
            "SUBJECT_ID": ID,
            "HADM_ID": ID,
            "ADMITTIME": TIME,
            "DISCHTIME": TIME,
            "DEATHTIME": TIME,
            "ADMISSION_TYPE": TEXT,
            "INSURANCE": TEXT,
            "ETHNICITY": TEXT,
            "HOSPITAL_EXPIRE_FLAG": ID,
        },
        58_976,
        given=("DEATHTIME",),
    ),
    "ICUSTAYS": Table(
        {
            "SUBJECT_ID": ID,
            "HADM_ID": ID,
            "ICUSTAY_ID": ID,
            "DBSOURCE": TEXT,
            "FIRST_CAREUNIT": TEXT,
            "LAST_CAREUNIT": TEXT,
            "FIRST_WARDID": ID,
            "LAST_WARDID": ID,
            "INTIME": TIME,
            "OUTTIME": TIME,
        },
        61_532,
    ),
    "SERVICES": Table({"SUBJECT_ID": ID, "HADM_ID": ID, "TRANSFERTIME": TIME, "CURR_SERVICE": TEXT}, 73_343),
    "DIAGNOSES_ICD": Table(
        {
            "SUBJECT_ID": ID,
            "HADM_ID": ID,
            "SEQ_NUM": ID,
            "ICD_VERSION": ID,
            "ICD9_CODE": TEXT,
            "ICD10_CODE": TEXT,
        },
        651_047,
        optional=("ICD_VERSION", "ICD10_CODE"),
    ),
    "CHARTEVENTS": Table(
        {**EVENT, "ICUSTAY_ID": ID, "VALUE": TEXT, "VALUENUM": NUMBER, "ERROR": MARK},
        330_712_483,
        by_item=True,
        optional=("STORETIME",),
    ),
    "LABEVENTS": Table({**EVENT, "VALUE": TEXT, "VALUENUM": NUMBER}, 27_854_055, by_item=True, optional=("STORETIME",)),
    "OUTPUTEVENTS": Table(
        {**EVENT, "ICUSTAY_ID": ID, "VALUE": NUMBER, "ISERROR": MARK},
        4_349_218,
        by_item=True,
        optional=("STORETIME",),
    ),
    "NOTEEVENTS": Table(NOTE, 2_083_180),
}
FOUR_NOTES = {name: Table(NOTE, 0) for name in ("DISCHARGE", "RADIOLOGY")}
"""MIMIC-IV-Note's two tables; no row count is held against them."""

INFUSION = {
    "SUBJECT_ID": ID,
    "HADM_ID": ID,
    "ITEMID": ID,
    "STARTTIME": TIME,
    "ENDTIME": TIME,
    "RATE": NUMBER,
    "STATUSDESCRIPTION": TEXT,
}
OF_SEPSIS = {
    "PRESCRIPTIONS": Table(
        {"SUBJECT_ID": ID, "HADM_ID": ID, "STARTDATE": TIME, "DRUG_TYPE": TEXT, "DRUG": TEXT, "ROUTE": TEXT}, 0
    ),
    "MICROBIOLOGYEVENTS": Table({"SUBJECT_ID": ID, "HADM_ID": ID, "CHARTDATE": TIME, "CHARTTIME": TIME}, 0),
    "INPUTEVENTS_MV": Table(INFUSION, 0, by_item=True),
    "INPUTEVENTS_CV": Table(
        {"SUBJECT_ID": ID, "HADM_ID": ID, "ITEMID": ID, "CHARTTIME": TIME, "RATE": NUMBER}, 0, by_item=True
    ),
    "INPUTEVENTS": Table(INFUSION, 0, by_item=True),
}
"""What Sepsis-3 takes beside the others; INPUTEVENTS is MIMIC-IV's. No row count is held against them."""


def table_named(name: str) -> Table:
    """A table by its name in either release."""
    return next(tables[name] for tables in (TABLES, FOUR_NOTES, OF_SEPSIS) if name in tables)
