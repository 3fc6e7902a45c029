"""Tasks beside the paper's: what is predicted, for whom, and at which time; −1 where it can't be known.

| task | a sample, and its prediction time | classes |
|---|---|---|
| `ihm48` | a stay, 48 h after ICU admission | died in hospital |
| `los` | every hour of a stay | days left in the ICU, in ten classes |
| `decompensation` | every hour of a stay | dies in hospital within 24 h |
| `sepsis3` | every hour before its onset | onset within 6 h (`sepsis.py`) |
| `phenotyping` | a stay, when it ends | 25 groups of diagnoses, each no or yes |
| `readmission` | a stay, when the hospital is left | admitted again, unplanned, within 30 days |

Definitions: Harutyunyan et al., Multitask learning and benchmarking with clinical time series data, Scientific Data 2019, and its
public code (mimic3-benchmarks); readmission: Huang, Altosaar, Ranganath, ClinicalBERT, 2019. What is not as there: inputs are the
last `window_hours` of what was known (there: the whole stay so far), and samples after a recorded death are left out.
"""

from datetime import timedelta
from itertools import pairwise

import polars as pl

from i2m2_med.sources.mimic3.cohort import SelectedStays
from i2m2_med.sources.mimic3.icd9 import code as icd9_code
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.phenotypes import of_admissions
from i2m2_med.sources.mimic3.sepsis import onsets
from i2m2_med.sources.mimic3.settings import Settings

PLANNED = ("ELECTIVE", "NEWBORN")
"""Types of admission that are no unplanned readmission."""


def stay_classes(settings: Settings) -> tuple[str, ...]:
    """Names of the classes of the remaining length of stay.

    >>> stay_classes(Settings(root=".", los_days=(1, 2.5)))
    ('under 1 day', '1–2.5 days', 'over 2.5 days')
    """
    days = settings.los_days
    between = (f"{low:g}–{high:g} days" for low, high in pairwise(days))
    return (f"under {days[0]:g} day{'s' * (days[0] != 1)}", *between, f"over {days[-1]:g} days")


def remaining_stay(settings: Settings) -> pl.Expr:
    """Class k of the time from prediction to leaving the ICU: at least `los_days[k − 1]` days, less than `los_days[k]`.

    The ten classes of mimic3-benchmarks (`CustomBins`): under a day, one for each of the days 1 to 7, 8 to 14 days, over 14 days.
    """
    days = (pl.col("OUTTIME") - pl.col("prediction")).dt.total_seconds() / 86_400
    return pl.sum_horizontal((days >= limit).cast(pl.Int8) for limit in settings.los_days)


def within_ahead(settings: Settings) -> pl.Expr:
    """1 where `event` comes less than `ahead_hours` after the prediction, else 0; −1 where `event_unknown`."""
    hours = (pl.col("event") - pl.col("prediction")).dt.total_seconds() / 3600
    near = (hours < settings.ahead_hours).fill_null(False)
    return pl.when(pl.col("event_unknown")).then(-1).otherwise(near.cast(pl.Int8))


def with_events(tables: dict[str, Ingested], cohort: SelectedStays, settings: Settings) -> pl.DataFrame:
    """The cohort's samples with `event`, the time that an hourly task is about (null: none), and `event_unknown`."""
    samples = cohort.samples
    if settings.task == "decompensation":
        return death_in_hospital(samples)
    if settings.task == "sepsis3":
        known = samples.join(onsets(tables, cohort, settings), on="row", how="left", maintain_order="left")
        return known.with_columns(event_unknown=pl.lit(False))
    return samples.with_columns(event=pl.lit(None, pl.Datetime("us")), event_unknown=pl.lit(False))


def death_in_hospital(samples: pl.DataFrame) -> pl.DataFrame:
    """Add `event` (time of death in hospital, to the minute) and `event_unknown` (died in hospital nobody knows when, or nobody
    knows whether). Deaths after discharge are no event, as in mimic3-benchmarks."""
    flag, at = pl.col("HOSPITAL_EXPIRE_FLAG"), pl.col("DEATHTIME")
    unknown = at.is_null() & (pl.col("DEATHTIME_GIVEN") | (flag != 0).fill_null(True))
    return samples.with_columns(event=at, event_unknown=unknown.fill_null(True))


def phenotypes(tables: dict[str, Ingested], samples: pl.DataFrame) -> pl.DataFrame:
    """A 0/1 column per phenotype from the admission's ICD-9 codes, given at discharge; −1 where the admission has none
    (not coded, or in ICD-10, for which no such groups were published)."""
    coded = tables["DIAGNOSES_ICD"].scan().select("HADM_ID", code=icd9_code().str.to_uppercase()).drop_nulls().collect()
    own = samples.select("row", "HADM_ID").join(coded, on="HADM_ID").select("row", "code")
    joined = samples.select("row").join(of_admissions(own), on="row", how="left", maintain_order="left")
    return joined.drop("row").fill_null(-1)


def readmitted(tables: dict[str, Ingested], samples: pl.DataFrame, settings: Settings) -> pl.Series:
    """1 if the patient is admitted again, unplanned, within `readmission_days` of leaving the hospital, else 0; −1 where only
    admissions of an unknown type could decide.

    Who dies elsewhere before being admitted again is 0, as published. Admissions to other hospitals are in no table.
    """
    later = tables["ADMISSIONS"].scan().select("SUBJECT_ID", again="ADMITTIME", next="HADM_ID", kind="ADMISSION_TYPE")
    known = samples.lazy().select("row", "SUBJECT_ID", "HADM_ID", "DISCHTIME").join(later, on="SUBJECT_ID")
    after = (pl.col("again") >= pl.col("DISCHTIME")) & (pl.col("next") != pl.col("HADM_ID"))
    soon = pl.col("again") <= pl.col("DISCHTIME") + timedelta(days=settings.readmission_days)
    planned = pl.col("kind").str.strip_chars().str.to_uppercase().is_in(PLANNED)
    verdict = pl.when((~planned).any()).then(1).when(planned.is_null().any()).then(-1).otherwise(0)
    found = known.filter(after & soon).group_by("row").agg(verdict.alias("label")).collect()
    joined = samples.select("row").join(found, on="row", how="left", maintain_order="left")
    return joined["label"].fill_null(0).cast(pl.Int8)
