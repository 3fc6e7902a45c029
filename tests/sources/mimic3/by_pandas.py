"""The tasks counted again on the raw tables, in plain pandas and loops: written apart from the pipeline, to be held against it."""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pandas as pd

from i2m2_med.sources.mimic3.items import items_of

DAY = pd.Timedelta(days=1)
HOUR = pd.Timedelta(hours=1)


def read(root: Path, name: str, times: tuple[str, ...] = (), **kinds: object) -> pd.DataFrame:
    return pd.read_csv(root / f"{name}.csv.gz", parse_dates=list(times), dtype=kinds or None, low_memory=False)


def stays(root: Path) -> pd.DataFrame:
    """The cohort of mimic3-benchmarks: one ward, one stay in the admission, 18 years or older."""
    icu = read(root, "ICUSTAYS", ("INTIME", "OUTTIME"))
    icu = icu[(icu.FIRST_WARDID == icu.LAST_WARDID) & (icu.FIRST_CAREUNIT == icu.LAST_CAREUNIT)]
    icu = icu[icu.HADM_ID.map(icu.HADM_ID.value_counts()) == 1]
    icu = icu.merge(
        read(root, "ADMISSIONS", ("ADMITTIME", "DISCHTIME", "DEATHTIME")).drop(columns="ROW_ID", errors="ignore"),
        on=["SUBJECT_ID", "HADM_ID"],
    )
    icu = icu.merge(
        read(root, "PATIENTS", ("DOB", "DOD")).drop(columns=["ROW_ID", "EXPIRE_FLAG"], errors="ignore"), on="SUBJECT_ID"
    )
    born = icu.DOB.map(lambda at: at.to_pydatetime())
    age = [(seen.to_pydatetime() - birth).days / 365.2425 for seen, birth in zip(icu.INTIME, born, strict=True)]
    return icu[[years >= 18 for years in age]]


def charted(root: Path) -> pd.DataFrame:
    """SUBJECT_ID, CHARTTIME and `known` of every sound row of a channel's items."""
    seen = []
    for name, marked in (("CHARTEVENTS", "ERROR"), ("LABEVENTS", None), ("OUTPUTEVENTS", "ISERROR")):
        rows = read(root, name, ("CHARTTIME",) if name == "LABEVENTS" else ("CHARTTIME", "STORETIME"))
        rows = rows[rows.ITEMID.isin(items_of("benchmark17", "checked")["item"].to_list()) & rows.CHARTTIME.notna()]
        rows = rows if marked is None else rows[rows[marked] != 1]
        times = [column for column in ("CHARTTIME", "STORETIME") if column in rows]
        seen.append(rows[["SUBJECT_ID", "CHARTTIME"]].assign(known=rows[times].max(axis=1)))
    return pd.concat(seen)


@lru_cache
def hours(root: Path) -> list[tuple[pd.Series, int, pd.Timestamp]]:
    """(stay, hour, time) from hour 5 to its end or the patient's death, once something is charted in it."""
    return list(every_hour(root))


def every_hour(root: Path) -> Iterator[tuple[pd.Series, int, pd.Timestamp]]:
    seen = charted(root)
    for _, stay in stays(root).iterrows():
        inside = seen[(seen.SUBJECT_ID == stay.SUBJECT_ID) & seen.CHARTTIME.between(stay.INTIME, stay.OUTTIME)]
        begun = inside.known.min() if len(inside) else stay.OUTTIME + HOUR
        gone = stay.DEATHTIME if pd.notna(stay.DEATHTIME) else stay.DOD + DAY
        hour = 5
        while stay.INTIME + hour * HOUR <= stay.OUTTIME:
            now = stay.INTIME + hour * HOUR
            if begun <= now and not gone <= now:
                yield stay, hour, now
            hour += 1


def los(root: Path) -> dict[tuple[str, int], int]:
    """(stay, hour) → class."""
    ends = [24, 48, 72, 96, 120, 144, 168, 192, 336]
    left = {(str(s.ICUSTAY_ID), h): (s.OUTTIME - now).total_seconds() / 3600 for s, h, now in hours(root)}
    return {key: next((k for k, end in enumerate(ends) if rest < end), 9) for key, rest in left.items()}


def decompensation(root: Path) -> dict[tuple[str, int], int]:
    return {
        (str(s.ICUSTAY_ID), h): int(pd.notna(s.DEATHTIME) and (s.DEATHTIME - now).total_seconds() < 24 * 3600)
        for s, h, now in hours(root)
    }


def readmission(root: Path) -> dict[str, int]:
    """Stay → readmitted, of those discharged alive."""
    admissions = read(root, "ADMISSIONS", ("ADMITTIME", "DISCHTIME", "DEATHTIME"))
    found = {}
    for _, stay in stays(root).iterrows():
        if stay.HOSPITAL_EXPIRE_FLAG == 1:
            continue
        later = admissions[(admissions.SUBJECT_ID == stay.SUBJECT_ID) & (admissions.HADM_ID != stay.HADM_ID)]
        wait = later.ADMITTIME - stay.DISCHTIME
        soon = later[(wait >= pd.Timedelta(0)) & (wait <= 30 * DAY)]
        found[str(stay.ICUSTAY_ID)] = int(any(kind not in ("ELECTIVE", "NEWBORN") for kind in soon.ADMISSION_TYPE))
    return found


RANGES = {
    "acute_renal_failure": r"584[5-9]|586",
    "acute_cerebrovascular_disease": r"3466[0-3]|430|431|432[0-9]|433[0-9]1|434[0-9]{0,2}|436",
    "acute_myocardial_infarction": r"410\d{1,2}",
    "cardiac_dysrhythmias": r"427[01269]|4273[12]|4274|4276\d?|4278[19]|7850|7851",
    "congestive_heart_failure": r"39891|428\d{1,2}",
    "lipid_disorders": r"272[0-4]",
    "essential_hypertension": r"401[19]",
    "fluid_electrolyte_disorders": r"276[0-9]?|2765[0-2]|2766[0-9]?|9951",
    "respiratory_failure": r"5173|5185[0-9]?|5188[1-4]|7991|V461?[1-4]?|V462|7980[0-9]?",
    "septicemia": r"0031|0202|0223|0362|038\d{1,2}|0545|449|77181|7907|9959[12]",
    "shock": r"7855[0-29]",
}
"""Some of the groups as a coder would write them in words, not as the shipped list has them."""


def phenotype(root: Path, name: str) -> dict[str, int]:
    """Stay → has a code of the group."""
    coded = read(root, "DIAGNOSES_ICD", ICD9_CODE=str)
    has = {
        admission: any(re.fullmatch(RANGES[name], str(code)) for code in codes)
        for admission, codes in coded.groupby("HADM_ID").ICD9_CODE
    }
    return {str(stay.ICUSTAY_ID): int(has[stay.HADM_ID]) for _, stay in stays(root).iterrows()}
