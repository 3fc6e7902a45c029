"""MIMIC-IV's own tables (`hosp/`, `icu/`) in MIMIC-III's columns: what has another name there, and what has to be made.

Its charted items are MIMIC-III's of MetaVision and its laboratory items are MIMIC-III's, so the item map holds. Three things are
not as in MIMIC-III, and the manifest says so: admissions coded in ICD-10 have no ICD-9 label (unknown) and tell nothing of
comorbidities; a birth date is 1 January of the anchor year less the anchor age; notes are a release of their own and not read.
Made without MIMIC-IV at hand: tested on MIMIC-III's demo under MIMIC-IV's names.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

REMARK = "MIMIC-IV: ICD-10 codes are not read, birth dates are known to the year, notes are not read"
NOTHING = pl.lit(None, pl.String)


def is_mimic4(root: Path) -> bool:
    """Whether a folder is laid out as MIMIC-IV."""
    return (root / "hosp").is_dir() and (root / "icu").is_dir()


def folders_of(root: Path) -> list[Path]:
    """Where tables lie: in the folder itself, or in MIMIC-IV's two modules."""
    return [root / "hosp", root / "icu"] if is_mimic4(root) else [root]


def made_columns(name: str, there: Mapping[str, str]) -> dict[str, pl.Expr]:
    """MIMIC-III's columns that a MIMIC-IV table has to make; none where the table is MIMIC-III's. there: upper case → as written."""

    def text(column: str) -> pl.Expr:
        return pl.col(there[column]).cast(pl.String)

    def number(column: str) -> pl.Expr:
        return pl.col(there[column]).cast(pl.Int64, strict=False)

    if name == "PATIENTS" and "ANCHOR_AGE" in there:
        return {"DOB": pl.format("{}-01-01 00:00:00", number("ANCHOR_YEAR") - number("ANCHOR_AGE"))}
    if name == "ADMISSIONS" and "RACE" in there:
        return {"ETHNICITY": text("RACE"), "ADMISSION_TYPE": admission_type(text("ADMISSION_TYPE"))}
    if name == "ICUSTAYS" and "STAY_ID" in there:
        moved = text("FIRST_CAREUNIT") != text("LAST_CAREUNIT")
        ward = {"FIRST_WARDID": pl.lit("0"), "LAST_WARDID": moved.cast(pl.Int8).cast(pl.String)}
        return {"ICUSTAY_ID": text("STAY_ID"), "DBSOURCE": pl.lit("metavision"), **ward}
    if name == "DIAGNOSES_ICD" and "ICD_VERSION" in there:
        return {"ICD9_CODE": pl.when(number("ICD_VERSION") == 9).then(text("ICD_CODE"))}
    if name in ("CHARTEVENTS", "OUTPUTEVENTS") and "STAY_ID" in there:
        return {"ICUSTAY_ID": text("STAY_ID"), "ROW_ID": NOTHING, "ERROR": NOTHING, "ISERROR": NOTHING}
    return {"ROW_ID": text("LABEVENT_ID")} if name == "LABEVENTS" and "LABEVENT_ID" in there else {}


def admission_type(admission: pl.Expr) -> pl.Expr:
    """MIMIC-IV's nine kinds of admission in MIMIC-III's terms."""
    kind = admission.str.to_uppercase()
    planned = kind.is_in(["ELECTIVE", "SURGICAL SAME DAY ADMISSION"])
    urgent = kind == "URGENT"
    return pl.when(planned).then(pl.lit("ELECTIVE")).when(urgent).then(pl.lit("URGENT")).otherwise(pl.lit("EMERGENCY"))
