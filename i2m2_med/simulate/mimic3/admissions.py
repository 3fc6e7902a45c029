"""PATIENTS, ADMISSIONS, ICUSTAYS, TRANSFERS, SERVICES and DIAGNOSES_ICD of the simulated stays."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from i2m2_med.simulate.mimic3.cases import Cases
from i2m2_med.simulate.mimic3.stays import Stays, after

SURGICAL = np.array(["SURG", "CSURG", "NSURG", "TSURG", "VSURG"])
MEDICAL = np.array(["MED", "CMED", "NMED"])
UNITS = np.array(["MICU", "SICU", "CCU", "CSRU", "TSICU"])
WARDS = np.array([52, 33, 7, 14, 23])
NEOPLASMS = np.array(["1629", "1749", "1539", "185", "2252", "2113", "2189"])
FLAGGED = np.array(["1977", "1985", "1970", "20280", "20300"])
"""Metastases and haematologic malignancies: neoplasm codes from which `i2m2_compat` makes static features."""
FLAGGED_SHARE = 0.5
RESPIRATORY = np.array(["486", "5070", "51881", "49121", "5119", "5180"])
# fmt: off
OTHERS = np.array([
    "0389", "25000", "2859", "2724", "2930", "311", "34590", "4019", "4280", "42731", "41401", "5849", "5715", "5990", "7070",
    "71590", "7455", "78039", "7907", "7991", "99592", "9974", "V1582", "V4581", "E8788", "E9342",
])
# fmt: on
AIDS = "042"
EARLIER_SHARE, LATER_SHARE, SECOND_STAY_SHARE = 0.1, 0.06, 0.06
NOTHING = np.datetime64("NaT", "ms")
Mask = NDArray[np.bool_]


def patients_table(stays: Stays, rng: np.random.Generator) -> pl.DataFrame:
    """PATIENTS: half of the deaths in hospital are known to the hospital only, as in the release."""
    in_hospital = ~np.isnat(stays.death)
    unknown = in_hospital & (rng.random(len(in_hospital)) < 0.5)
    return pl.DataFrame(
        {
            "SUBJECT_ID": stays.subject,
            "GENDER": rng.choice(["F", "M"], len(stays.subject)),
            "DOB": stays.birth,
            "DOD": stays.died,
            "DOD_HOSP": np.where(in_hospital, stays.died, NOTHING),
            "DOD_SSN": np.where(unknown, NOTHING, stays.died),
            "EXPIRE_FLAG": np.int64(~np.isnat(stays.died)),
        }
    )


def admissions_table(cases: Cases, stays: Stays, rng: np.random.Generator) -> pl.DataFrame:
    """ADMISSIONS: the index admission of each case; elective and emergency say what `scheduled` is."""
    n = len(cases)
    urgent = rng.choice(["EMERGENCY", "URGENT"], n, p=[0.9, 0.1])
    kind = np.where(stays.odd == 1, "NEWBORN", np.where(cases.scheduled == 1, "ELECTIVE", urgent))
    dead = ~np.isnat(stays.death)
    emergency = kind == "EMERGENCY"
    return pl.DataFrame(
        {
            "SUBJECT_ID": stays.subject,
            "HADM_ID": stays.hadm,
            "ADMITTIME": stays.admit,
            "DISCHTIME": stays.discharge,
            "DEATHTIME": stays.death,
            "ADMISSION_TYPE": kind,
            "ADMISSION_LOCATION": np.where(emergency, "EMERGENCY ROOM ADMIT", "PHYS REFERRAL/NORMAL DELI"),
            "DISCHARGE_LOCATION": np.where(dead, "DEAD/EXPIRED", "HOME HEALTH CARE"),
            "INSURANCE": rng.choice(["Medicare", "Private", "Medicaid"], n),
            "RELIGION": rng.choice(["CATHOLIC", "UNOBTAINABLE", "NOT SPECIFIED"], n),
            "MARITAL_STATUS": rng.choice(["MARRIED", "SINGLE", "WIDOWED"], n),
            "ETHNICITY": rng.choice(["WHITE", "BLACK/AFRICAN AMERICAN", "UNKNOWN/NOT SPECIFIED"], n),
            "EDREGTIME": np.where(emergency, stays.admit - after(np.full(n, 4.0)), NOTHING),
            "EDOUTTIME": np.where(emergency, stays.admit + after(np.full(n, 0.5)), NOTHING),
            "DIAGNOSIS": "SIMULATED",
            "HOSPITAL_EXPIRE_FLAG": np.int64(dead),
            "HAS_CHARTEVENTS_DATA": np.int64(stays.odd != 3),
        }
    )


def other_admissions(stays: Stays, rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Earlier admissions without an ICU stay (of some cases) and later ones (of some survivors), and the diagnoses of both.

    What these diagnoses say is independent of every label.
    """
    n = len(stays.subject)
    earlier = (stays.odd == 0) & (rng.random(n) < EARLIER_SHARE)
    later = (stays.odd == 0) & np.isnat(stays.died) & ~earlier & (rng.random(n) < LATER_SHARE)
    chosen = earlier | later
    far = after(24 * rng.uniform(60, 300, n))
    admit = np.where(earlier, stays.admit - far, stays.discharge + far)[chosen]
    hadm = stays.other_hadm[chosen]
    admissions = pl.DataFrame(
        {
            "SUBJECT_ID": stays.subject[chosen],
            "HADM_ID": hadm,
            "ADMITTIME": admit,
            "DISCHTIME": admit + after(rng.uniform(30, 150, chosen.sum())),
            "ADMISSION_TYPE": "EMERGENCY",
            "ADMISSION_LOCATION": "EMERGENCY ROOM ADMIT",
            "DISCHARGE_LOCATION": "HOME",
            "DIAGNOSIS": "SIMULATED",
            "HOSPITAL_EXPIRE_FLAG": 0,
            "HAS_CHARTEVENTS_DATA": 0,
        }
    )
    codes = rng.choice(np.array(["4019", "25000", FLAGGED[0], FLAGGED[3], AIDS]), len(hadm))
    diagnoses = pl.DataFrame({"SUBJECT_ID": stays.subject[chosen], "HADM_ID": hadm, "SEQ_NUM": 1, "ICD9_CODE": codes})
    return admissions, diagnoses


def icustays_table(stays: Stays, rng: np.random.Generator) -> pl.DataFrame:
    """ICUSTAYS: one stay per case, in a few a second one of the same admission."""
    n = len(stays.subject)
    unit = rng.integers(0, len(UNITS), n)
    first = pl.DataFrame(
        {
            "SUBJECT_ID": stays.subject,
            "HADM_ID": stays.hadm,
            "ICUSTAY_ID": stays.icustay,
            "DBSOURCE": np.where(stays.metavision, "metavision", "carevue"),
            "FIRST_CAREUNIT": np.where(stays.odd == 1, "NICU", UNITS[unit]),
            "LAST_CAREUNIT": np.where(stays.odd == 1, "NICU", UNITS[unit]),
            "FIRST_WARDID": WARDS[unit],
            "LAST_WARDID": WARDS[unit],
            "INTIME": stays.intime,
            "OUTTIME": stays.outtime,
            "other": stays.other_icustay,
        }
    ).filter(pl.Series(stays.odd != 3))
    room = (stays.odd == 0) & np.isnat(stays.death) & (stays.discharge - stays.outtime > np.timedelta64(9, "h"))
    again = pl.Series(stays.subject[room & (rng.random(n) < SECOND_STAY_SHARE)])
    second = first.filter(pl.col("SUBJECT_ID").is_in(again.implode())).with_columns(
        ICUSTAY_ID="other",
        INTIME=pl.col("OUTTIME") + pl.duration(hours=2),
        OUTTIME=pl.col("OUTTIME") + pl.duration(hours=8),
    )
    stay_days = ((pl.col("OUTTIME") - pl.col("INTIME")).dt.total_minutes() / 1440).round(4)
    return pl.concat([first, second]).sort("SUBJECT_ID", "INTIME").with_columns(LOS=stay_days).drop("other")


def transfers_table(icustays: pl.DataFrame) -> pl.DataFrame:
    """TRANSFERS: into the unit and out of it."""
    inward = icustays.select(
        "SUBJECT_ID", "HADM_ID", "ICUSTAY_ID", "DBSOURCE", pl.lit("admit").alias("EVENTTYPE"),
        pl.lit(None, pl.String).alias("PREV_CAREUNIT"), pl.col("FIRST_CAREUNIT").alias("CURR_CAREUNIT"),
        pl.lit(None, pl.Int64).alias("PREV_WARDID"), pl.col("FIRST_WARDID").alias("CURR_WARDID"),
        "INTIME", "OUTTIME", (pl.col("LOS") * 24).round(2),
    )  # fmt: skip
    outward = inward.with_columns(
        ICUSTAY_ID=None, EVENTTYPE=pl.lit("discharge"), PREV_CAREUNIT="CURR_CAREUNIT", CURR_CAREUNIT=None,
        PREV_WARDID="CURR_WARDID", CURR_WARDID=None, INTIME="OUTTIME", OUTTIME=None, LOS=None,
    )  # fmt: skip
    return pl.concat([inward, outward], how="vertical_relaxed").sort("SUBJECT_ID", "INTIME", "EVENTTYPE")


def services_table(cases: Cases, stays: Stays, rng: np.random.Generator) -> pl.DataFrame:
    """SERVICES: the first service says surgical or medical; some change service later."""
    n = len(cases)
    first = np.where(cases.surgical == 1, rng.choice(SURGICAL, n), rng.choice(MEDICAL, n))
    first = np.where(stays.odd == 1, "NB", first)
    entry = {"SUBJECT_ID": stays.subject, "HADM_ID": stays.hadm, "TRANSFERTIME": stays.admit, "CURR_SERVICE": first}
    moved = rng.random(n) < 0.1
    change = {name: column[moved] for name, column in entry.items()}
    change |= {
        "TRANSFERTIME": stays.outtime[moved],
        "PREV_SERVICE": first[moved],
        "CURR_SERVICE": np.full(moved.sum(), "MED"),
    }
    return pl.concat([pl.DataFrame(entry), pl.DataFrame(change)], how="diagonal").sort("SUBJECT_ID", "TRANSFERTIME")


def diagnoses_table(cases: Cases, stays: Stays, rng: np.random.Generator) -> pl.DataFrame:
    """DIAGNOSES_ICD: the two labelled groups as drawn; every other code is independent of every label."""
    n = len(cases)
    neoplasm = cases.codes[:, 0] == 1
    parts = [
        (neoplasm, rng.choice(NEOPLASMS, n)),
        (neoplasm & (rng.random(n) < FLAGGED_SHARE), rng.choice(FLAGGED, n)),
        (cases.codes[:, 1] == 1, rng.choice(RESPIRATORY, n)),
        (rng.random(n) < 0.03, np.full(n, AIDS)),
        *((rng.random(n) < 0.3, np.full(n, code)) for code in OTHERS),
    ]
    rows = [
        pl.DataFrame({"SUBJECT_ID": stays.subject[m], "HADM_ID": stays.hadm[m], "ICD9_CODE": c[m]}) for m, c in parts
    ]
    place = pl.int_range(1, pl.len() + 1).over("HADM_ID").alias("SEQ_NUM")
    return pl.concat(rows).sort("SUBJECT_ID", "ICD9_CODE").with_columns(place)
