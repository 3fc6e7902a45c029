"""MIMIC-IV's tables (`hosp/`, `icu/`, `note/`) in MIMIC-III's columns: what has another name there, and what has to be made.

Its charted items are MIMIC-III's of MetaVision and its laboratory items are MIMIC-III's, so the item map holds. A birth date is
1 January of the anchor year less the anchor age (91 above 89): known to the year. Diagnoses are of ICD-9 or ICD-10, admission by
admission. Nothing is marked as an error, and all of it was charted in MetaVision. Headers are those of versions 2.0 to 3.1
(mimic-code, mimic-iv/buildmimic); other columns than those read make no difference.
"""

from collections.abc import Mapping

import polars as pl

NOTHING = pl.lit(None, pl.String)
PLANNED = ("ELECTIVE", "SURGICAL SAME DAY ADMISSION")
EMERGENCIES = ("EW EMER.", "DIRECT EMER.", "EMERGENCY", "OBSERVATION ADMIT", "EU OBSERVATION", "DIRECT OBSERVATION", "AMBULATORY OBSERVATION")  # fmt: skip
CATEGORIES = {"DS": "Discharge summary", "AD": "Discharge summary", "RR": "Radiology", "AR": "Radiology"}
"""MIMIC-IV-Note's types (AD, AR: addenda) in NOTEEVENTS's categories."""
MIDNIGHT = r"^\d{4}-\d\d-\d\d(?:[ T]00:00(?::00(?:\.0+)?)?)?$"
MADE_OF = {
    "DOB": "anchor_age and anchor_year",
    "ICD9_CODE": "icd_code and icd_version",
    "ICUSTAY_ID": "stay_id",
    "ETHNICITY": "race",
    "CATEGORY": "note_type",
}
"""MIMIC-III's columns, and the columns of MIMIC-IV that stand for them."""
READ = {
    "PATIENTS": ("subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod"),
    "ADMISSIONS": (
        "subject_id", "hadm_id", "admittime", "dischtime", "deathtime", "admission_type", "insurance", "race", "ethnicity",
        "hospital_expire_flag",
    ),
    "ICUSTAYS": ("subject_id", "hadm_id", "stay_id", "first_careunit", "last_careunit", "intime", "outtime"),
    "SERVICES": ("subject_id", "hadm_id", "transfertime", "curr_service"),
    "DIAGNOSES_ICD": ("subject_id", "hadm_id", "seq_num", "icd_code", "icd_version"),
    "CHARTEVENTS": ("subject_id", "hadm_id", "stay_id", "charttime", "storetime", "itemid", "value", "valuenum", "valueuom"),
    "LABEVENTS": (
        "labevent_id", "subject_id", "hadm_id", "itemid", "charttime", "storetime", "value", "valuenum", "valueuom",
    ),
    "OUTPUTEVENTS": ("subject_id", "hadm_id", "stay_id", "charttime", "storetime", "itemid", "value", "valueuom"),
    "PRESCRIPTIONS": ("subject_id", "hadm_id", "starttime", "drug_type", "drug", "route"),
    "DISCHARGE": ("note_id", "subject_id", "hadm_id", "note_type", "charttime", "storetime", "text"),
    "RADIOLOGY": ("note_id", "subject_id", "hadm_id", "note_type", "charttime", "storetime", "text"),
}  # fmt: skip
"""By table, MIMIC-IV's columns that are read: what is copied from a database."""


def made_columns(name: str, there: Mapping[str, str]) -> dict[str, pl.Expr]:
    """MIMIC-III's columns that a MIMIC-IV table has to make; none where the table is MIMIC-III's. there: upper case → as written."""

    def text(column: str) -> pl.Expr:
        return pl.col(there[column]).cast(pl.String)

    def number(column: str) -> pl.Expr:
        value = text(column).str.strip_chars().cast(pl.Float64, strict=False)
        return pl.when(value == value.floor()).then(value).cast(pl.Int64, strict=False)

    if name == "PATIENTS" and {"ANCHOR_AGE", "ANCHOR_YEAR"} <= set(there):
        born = pl.format("{}-01-01 00:00:00", number("ANCHOR_YEAR") - number("ANCHOR_AGE"))
        return {
            "DOB": pl.coalesce(born, text("ANCHOR_AGE"), text("ANCHOR_YEAR"))
        }  # what can't be read is judged as such
    if name == "ADMISSIONS" and ("RACE" in there or "ROW_ID" not in there):
        race = {"ETHNICITY": text("RACE")} if "RACE" in there else {}  # before 2.0 it was called ethnicity
        kind = {"ADMISSION_TYPE": admission_type(text("ADMISSION_TYPE"))} if "ADMISSION_TYPE" in there else {}
        return race | kind
    if name == "ICUSTAYS" and "STAY_ID" in there:
        moved = text("FIRST_CAREUNIT") != text("LAST_CAREUNIT")
        ward = {"FIRST_WARDID": pl.lit("0"), "LAST_WARDID": moved.cast(pl.Int8).cast(pl.String)}
        return {"ICUSTAY_ID": text("STAY_ID"), "DBSOURCE": pl.lit("metavision"), **ward}
    if name == "DIAGNOSES_ICD" and {"ICD_VERSION", "ICD_CODE"} <= set(there):
        version, code = number("ICD_VERSION"), text("ICD_CODE")
        return {"ICD9_CODE": pl.when(version == 9).then(code), "ICD10_CODE": pl.when(version == 10).then(code)}
    if name in ("CHARTEVENTS", "OUTPUTEVENTS") and "STAY_ID" in there:
        return {"ICUSTAY_ID": pl.col(there["STAY_ID"]), "ROW_ID": NOTHING, "ERROR": NOTHING, "ISERROR": NOTHING}
    if name == "PRESCRIPTIONS" and "STARTTIME" in there:
        return {"STARTDATE": text("STARTTIME")}
    if name in ("DISCHARGE", "RADIOLOGY") and {"NOTE_TYPE", "CHARTTIME"} <= set(there):
        return note_columns(text("NOTE_TYPE"), text("CHARTTIME"))
    return {"ROW_ID": pl.col(there["LABEVENT_ID"])} if name == "LABEVENTS" and "LABEVENT_ID" in there else {}


def note_columns(kind: pl.Expr, charted: pl.Expr) -> dict[str, pl.Expr]:
    """NOTEEVENTS's columns: a time of midnight is a date, as of most discharge summaries, and known when that day is over."""
    sort = kind.str.strip_chars().str.to_uppercase()
    dated = charted.str.strip_chars().str.contains(MIDNIGHT)
    return {
        "CATEGORY": sort.replace_strict(CATEGORIES, default=kind),
        "DESCRIPTION": sort,
        "CHARTDATE": pl.when(dated).then(charted),
        "CHARTTIME": pl.when(~dated).then(charted),
        "ROW_ID": NOTHING,
        "ISERROR": NOTHING,
    }


def admission_type(admission: pl.Expr) -> pl.Expr:
    """MIMIC-IV's nine kinds of admission in MIMIC-III's terms; another one stays as it is called."""
    kind = admission.str.strip_chars().str.to_uppercase()
    planned, emergency = kind.is_in(PLANNED), kind.is_in(EMERGENCIES)
    return pl.when(planned).then(pl.lit("ELECTIVE")).when(emergency).then(pl.lit("EMERGENCY")).otherwise(kind)
