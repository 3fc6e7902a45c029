"""Simulated MIMIC-III tables of MetaVision patients → MIMIC-IV's tables, by small letters."""

import numpy as np
import polars as pl

from i2m2_med.simulate.mimic3.stays import Stays
from i2m2_med.simulate.mimic4.layout import (
    CARE_UNITS,
    INSURANCE,
    KINDS,
    LANGUAGE,
    MIXED,
    NINTH,
    RACES,
    TENTH,
    YEARS,
    Version,
)

OLDEST, SHIFTED, ADULT = 89, 91, 18
FOLLOWED_DAYS = 365
ART = {50800: 52033}


def as_mimic4(
    tables: dict[str, pl.DataFrame], stays: Stays, version: Version, rng: np.random.Generator
) -> dict[str, pl.DataFrame]:
    """Every table of MIMIC-IV that the pipeline reads, and the dictionaries; without newborns, whom the release does not hold."""
    newborn = pl.Series(stays.subject[stays.odd == 1])
    of_adults = {
        name: table.filter(~pl.col("SUBJECT_ID").is_in(newborn.implode())) if "SUBJECT_ID" in table.columns else table
        for name, table in tables.items()
    }
    old = {name: table.rename(str.lower) for name, table in of_adults.items()}
    people = patients(old["PATIENTS"], old["ADMISSIONS"], version, rng)
    units = [pl.col(name).replace(CARE_UNITS) for name in ("first_careunit", "last_careunit")]
    icustays = old["ICUSTAYS"].rename({"icustay_id": "stay_id"}).with_columns(units)
    transfers = old["TRANSFERS"].with_columns(careunit=pl.col("curr_careunit").replace(CARE_UNITS))
    made = {
        "patients": people,
        "admissions": admissions(old["ADMISSIONS"], version, rng),
        "transfers": transfers.with_columns(transfer_id=pl.int_range(30_000_000, 30_000_000 + pl.len())),
        "services": old["SERVICES"],
        "diagnoses_icd": diagnoses(old["DIAGNOSES_ICD"], people, rng),
        "labevents": labevents(old["LABEVENTS"], rng),
        "d_labitems": old["D_LABITEMS"].with_columns(pl.col("itemid").replace(ART)),
        "icustays": icustays,
        "chartevents": charted(old["CHARTEVENTS"].filter(pl.col("error") != 1), stays, rng),
        "outputevents": charted(old["OUTPUTEVENTS"], stays, rng),
        "d_items": old["D_ITEMS"].filter(pl.col("itemid") > 220_000),
    }
    return made | notes(old["NOTEEVENTS"])


def patients(people: pl.DataFrame, admitted: pl.DataFrame, version: Version, rng: np.random.Generator) -> pl.DataFrame:
    """PATIENTS: age in the year of the first admission, 91 above 89; dates of death up to a year after the last discharge."""
    seen = admitted.group_by("subject_id").agg(pl.col("admittime").min(), pl.col("dischtime").max())
    joined = people.join(seen, on="subject_id", how="left", maintain_order="left")
    year = pl.col("admittime").dt.year()
    age = (year - pl.col("dob").dt.year()).clip(lower_bound=ADULT)
    followed = pl.col("dod") <= pl.col("dischtime") + pl.duration(days=FOLLOWED_DAYS)
    return joined.with_columns(
        anchor_year=year,
        anchor_age=pl.when(age > OLDEST).then(SHIFTED).otherwise(age),
        anchor_year_group=pl.Series(rng.choice(YEARS[version], joined.height)),
        dod=pl.when(followed).then(pl.col("dod").dt.date()),
    )


def admissions(rows: pl.DataFrame, version: Version, rng: np.random.Generator) -> pl.DataFrame:
    """ADMISSIONS in MIMIC-IV's words."""
    n, kinds = rows.height, rows["admission_type"].to_list()
    return rows.with_columns(
        admission_type=pl.Series([rng.choice(KINDS[kind]) for kind in kinds], dtype=pl.String),
        admit_provider_id=pl.Series([f"P{number:05d}" for number in rng.integers(0, 99_999, n)], dtype=pl.String),
        discharge_location=pl.col("discharge_location").replace({"DEAD/EXPIRED": "DIED"}),
        insurance=pl.Series(rng.choice(INSURANCE[version], n)),
        language=pl.Series(rng.choice(LANGUAGE[version], n)),
        race=pl.Series(rng.choice(RACES, n)),
    )


def diagnoses(rows: pl.DataFrame, people: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """DIAGNOSES_ICD: an admission's codes in one version, by the years it falls into; between them by a fair coin."""
    hadms = rows.select("subject_id", "hadm_id").unique(maintain_order=True)
    years = hadms.join(people.select("subject_id", years="anchor_year_group"), on="subject_id", maintain_order="left")
    coin = pl.Series(rng.random(years.height) < 0.5)
    ninth = pl.col("years").is_in(NINTH) | ((pl.col("years") == MIXED) & coin)
    version = years.select("hadm_id", icd_version=pl.when(ninth).then(9).otherwise(10))
    code = pl.col("icd9_code")
    return rows.join(version, on="hadm_id", maintain_order="left").with_columns(
        icd_code=pl.when(pl.col("icd_version") == 9).then(code).otherwise(code.replace_strict(TENTH))
    )


def labevents(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """LABEVENTS: numbered, with specimens (one per patient and moment) and MIMIC-IV's item of the specimen's type."""
    specimen = pl.struct("subject_id", "charttime").rank("dense").cast(pl.Int64)
    return rows.with_columns(
        pl.col("itemid").replace(ART),
        labevent_id=pl.int_range(1, pl.len() + 1),
        specimen_id=specimen + 1_000_000,
        order_provider_id=pl.Series([f"P{n:05d}" for n in rng.integers(0, 99_999, rows.height)], dtype=pl.String),
        value=pl.when(pl.col("value") == "ART").then(pl.lit("ART.")).otherwise("value"),
        priority=pl.lit("ROUTINE"),
    )


def charted(rows: pl.DataFrame, stays: Stays, rng: np.random.Generator) -> pl.DataFrame:
    """CHARTEVENTS or OUTPUTEVENTS: nothing marked as an error, every row with its admission and stay."""
    ids = pl.DataFrame({"subject_id": stays.subject, "hadm_id": stays.hadm, "stay_id": stays.icustay})
    named = rows.drop("hadm_id", "icustay_id").join(ids, on="subject_id", maintain_order="left")
    return named.with_columns(caregiver_id=pl.Series(rng.integers(1, 99_999, rows.height)), warning=pl.lit(0))


def notes(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Discharge summaries, dated at midnight and stored a day later, and as radiology reports all others that have a time: the
    release holds no notes of nurses and physicians, so reports carry the evidence here."""
    sound = rows.filter(pl.col("iserror").is_null())
    discharge = sound.filter(pl.col("category") == "Discharge summary").with_columns(
        charttime="chartdate", storetime=pl.col("chartdate") + pl.duration(days=1, hours=9), note_type=pl.lit("DS")
    )
    timed = sound.filter(pl.col("charttime").is_not_null() & (pl.col("category") != "Discharge summary"))
    header = pl.col("text").str.replace("NURSING NOTE", "RADIOLOGY REPORT", literal=True)
    radiology = timed.with_columns(text=header, note_type=pl.lit("RR"))
    return {
        name: table.with_columns(note_seq=pl.int_range(1, pl.len() + 1).over("subject_id")).with_columns(
            note_id=pl.format("{}-{}-{}", "subject_id", "note_type", "note_seq")
        )
        for name, table in {"discharge": discharge, "radiology": radiology}.items()
    }
