"""The tasks counted again on the raw tables, in plain pandas and loops: written apart from the pipeline, to be held against it."""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pandas as pd
import polars as pl

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


ANTIBIOTICS = {
    "ertapenem", "amoxicillin", "ampicillin", "azithromycin", "cefazolin", "cefepime", "cefpodoxime", "ceftazidime", "ceftriaxone",
    "cephalexin", "ciprofloxacin", "clarithromycin", "clindamycin", "daptomycin", "demeclocycline", "dicloxacillin", "doxycycline",
    "erythromycin", "gentamicin", "levofloxacin", "linezolid", "meropenem", "metronidazole", "nafcillin", "nitrofurantoin",
    "penicillin", "piperacillin", "rifampin", "sulfameth", "tobramycin", "unasyn", "vancomycin",
}  # fmt: skip
"""Of the demo's drugs, by hand."""


def suspected(root: Path) -> dict[int, list[tuple[pd.Timestamp, pd.Timestamp]]]:
    """Admission → (day of the antibiotic, since when infection is suspected); antibiotics are known to the day."""
    drugs = read(root, "PRESCRIPTIONS", ("STARTDATE",))
    name = drugs.DRUG.str.lower()
    local = name.str.contains("cream|opht|enema|gel") | drugs.ROUTE.isin(
        ["OU", "OS", "OD", "TP", "BOTH EYES", "RIGHT EYE", "LEFT EYE"]
    )
    drugs = drugs[
        name.map(lambda text: any(drug in text for drug in ANTIBIOTICS)) & ~local & (drugs.DRUG_TYPE != "BASE")
    ]
    taken = read(root, "MICROBIOLOGYEVENTS", ("CHARTDATE", "CHARTTIME"))
    found: dict[int, list[tuple[pd.Timestamp, pd.Timestamp]]] = {}
    for drug in drugs[["SUBJECT_ID", "HADM_ID", "STARTDATE"]].drop_duplicates().itertuples():
        for culture in taken[taken.SUBJECT_ID == drug.SUBJECT_ID].itertuples():
            at = culture.CHARTDATE if pd.isna(culture.CHARTTIME) else culture.CHARTTIME
            days = (drug.STARTDATE - at.normalize()).days
            if 0 <= days <= 3:
                found.setdefault(drug.HADM_ID, []).append((drug.STARTDATE, at))
            elif days == -1:
                found.setdefault(drug.HADM_ID, []).append((drug.STARTDATE, drug.STARTDATE))
    return found


def events(root: Path, name: str, items: dict[int, str]) -> pd.DataFrame:
    rows = read(root, name, ("CHARTTIME",))
    rows = rows[rows.ITEMID.isin(items)]
    marks = rows.ERROR == 1 if "ERROR" in rows else rows.ISERROR == 1 if "ISERROR" in rows else rows.ITEMID < 0
    value = rows.VALUENUM if "VALUENUM" in rows else rows.VALUE
    rows = rows.assign(concept=rows.ITEMID.map(items), number=value)[~marks]
    return rows[["SUBJECT_ID", "CHARTTIME", "concept", "number"]].dropna()


def onsets(root: Path, others: pd.DataFrame) -> dict[str, pd.Timestamp]:
    """Stay → onset of Sepsis-3. others: ICUSTAY_ID, `hour`, `part` (0 lungs, 4 nerves), `points`, of the pipeline's gases and coma
    scores, which other tests hold against the published code."""
    icu = read(root, "ICUSTAYS", ("INTIME", "OUTTIME"))
    labs = events(root, "LABEVENTS", {50912: "creatinine", 51265: "platelets", 50885: "bilirubin"})
    pressure = items_of("benchmark17", "checked").filter(pl.col("concept") == "map")["item"].to_list()
    arterial = events(root, "CHARTEVENTS", dict.fromkeys(pressure, "map"))
    arterial = arterial[arterial.number.between(0, 375, inclusive="neither")]
    voided = items_of("saps12", "checked").filter(pl.col("concept") == "urine")
    urine = events(root, "OUTPUTEVENTS", dict.fromkeys(voided["item"].to_list(), "urine"))
    drips = {30047, 30120, 30044, 30119, 30309, 30043, 30307, 30042, 30306, 221906, 221289, 221662, 221653}
    mv = read(root, "INPUTEVENTS_MV", ("STARTTIME", "ENDTIME"))
    mv = mv[mv.ITEMID.isin(drips) & (mv.RATE > 0) & (mv.STATUSDESCRIPTION != "Rewritten")]
    cv = read(root, "INPUTEVENTS_CV", ("CHARTTIME",))
    cv = cv[cv.ITEMID.isin(drips) & (cv.RATE > 0)]
    ran = [
        *zip(mv.SUBJECT_ID, mv.STARTTIME, mv.ENDTIME, strict=True),
        *zip(cv.SUBJECT_ID, cv.CHARTTIME, cv.CHARTTIME, strict=True),
    ]
    found = {}
    doubts = suspected(root)
    for stay in icu.itertuples():
        doubt = [since for day, since in doubts.get(stay.HADM_ID, []) if stay.INTIME.normalize() <= day < stay.OUTTIME]
        hours = int((stay.OUTTIME - stay.INTIME).total_seconds() // 3600)
        if not doubt or hours < 1:
            continue
        points = [[0] * 6 for _ in range(hours)]

        def give(
            at: pd.Timestamp, part: int, n: int, begin: pd.Timestamp = stay.INTIME, table: list[list[int]] = points
        ) -> None:
            hour = max(int((at - begin).total_seconds() // 3600), 0)
            if hour < len(table):
                table[hour][part] = max(table[hour][part], n)

        near = labs[(labs.SUBJECT_ID == stay.SUBJECT_ID) & labs.CHARTTIME.between(stay.INTIME - 6 * HOUR, stay.OUTTIME)]
        for row in near.itertuples():
            if row.concept == "platelets":
                give(row.CHARTTIME, 1, 2 if row.number < 100 else int(row.number < 150))
            else:
                give(
                    row.CHARTTIME,
                    2 if row.concept == "bilirubin" else 5,
                    2 if row.number >= 2 else int(row.number >= 1.2),
                )
        low = arterial[(arterial.SUBJECT_ID == stay.SUBJECT_ID) & arterial.CHARTTIME.between(stay.INTIME, stay.OUTTIME)]
        for row in low.itertuples():
            give(row.CHARTTIME, 3, int(row.number < 70))
        for subject, begin, end in ran:
            if subject == stay.SUBJECT_ID and end >= stay.INTIME and begin <= stay.OUTTIME:
                at = max(begin, stay.INTIME)
                while at.floor("s") <= end:
                    give(at, 3, 2)
                    at += HOUR / 60
        for row in others[others.ICUSTAY_ID == stay.ICUSTAY_ID].itertuples():
            give(stay.INTIME + row.hour * HOUR, row.part, row.points)
        own = urine[(urine.SUBJECT_ID == stay.SUBJECT_ID) & urine.CHARTTIME.between(stay.INTIME, stay.OUTTIME)]
        own = own.drop_duplicates()
        passed = ((own.CHARTTIME - stay.INTIME).dt.total_seconds() // 3600).to_numpy()
        for hour in range(hours):
            day = points[max(0, hour - 23) : hour + 1]
            worst = [max(column) for column in zip(*day, strict=True)]
            last = own.number.to_numpy()[(passed > hour - 24) & (passed <= hour)]
            if hour >= 23 and len(last) and last.sum() < 500:
                worst[5] = 2
            at = stay.INTIME + (hour + 1) * HOUR
            times = [max(at, since) for since in doubt if since - 48 * HOUR <= at <= since + 24 * HOUR]
            if sum(worst) >= 2 and times:
                key = str(stay.ICUSTAY_ID)
                found[key] = min([*times, *([found[key]] if key in found else [])])
    return found
