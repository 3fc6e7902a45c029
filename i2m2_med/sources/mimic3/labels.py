"""Labels to predict: mortality in classes, an ICD-9 group, and those of `tasks.py`; −1 where it can't be known."""

import polars as pl

from i2m2_med.sources.mimic3 import icd10
from i2m2_med.sources.mimic3.cohort import death_time, undated_death
from i2m2_med.sources.mimic3.icd9 import code as icd9_code
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.phenotypes import names as phenotype_names
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.mimic3.tasks import phenotypes, readmitted, remaining_stay, stay_classes, within_ahead
from i2m2_med.sources.source import Labels

YEAR_HOURS = 8766
GROUP_STARTS = (1, 140, 240, 280, 290, 320, 390, 460, 520, 580, 630, 680, 710, 740, 760, 780, 790, 797, 800)
"""First three-digit code of ICD-9 groups 0 … 18; group 19 is V codes, 20 is E codes."""
ENOUGH_CODES = 10
"""The published code makes a column of a group only if it has more codes than this, and so shifts the columns after it."""


def labels_of(settings: Settings) -> Labels:
    """Names of the heads and classes, known from the settings alone."""
    if settings.task == "icd9":
        return Labels((f"icd9_{settings.icd9_group}",), ("no", "yes"))
    if settings.task == "ihm48":
        return Labels(("ihm48",), ("survived", "died"))
    if settings.task == "los":
        return Labels(("los",), stay_classes(settings))
    if settings.task != "mortality":
        return Labels(phenotype_names() if settings.task == "phenotyping" else (settings.task,), ("no", "yes"))
    if settings.outcome == "published":
        within = ("1 day", "2 days", "3 days", "30 days after discharge", "1 year after discharge")
        return Labels(("mortality",), ("beyond", *within))
    return Labels(("mortality",), ("beyond", *(horizon_name(hours) for hours in settings.horizons)))


def horizon_name(hours: float) -> str:
    """24 → '1 day', 168 → '1 week', 8766 → '1 year', 36 → '36 hours'."""
    units = {YEAR_HOURS: "year", 168: "week", 24: "day", 1: "hour"}
    size, unit = next((size, unit) for size, unit in units.items() if hours % size == 0 or size == 1)
    return f"{hours / size:g} {unit}{'s' * (hours != size)}"


def label_columns(tables: dict[str, Ingested], samples: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """`label_<name>` of every sample, Int8."""
    if settings.task == "phenotyping":
        columns = phenotypes(tables, samples)
    else:
        columns = pl.DataFrame({labels_of(settings).names[0]: label(tables, samples, settings)})
    return columns.cast(pl.Int8).rename(lambda name: f"label_{name}")


def label(tables: dict[str, Ingested], samples: pl.DataFrame, settings: Settings) -> pl.Series:
    """The one label of a task, for every sample."""
    if settings.task == "icd9":
        return icd9(tables, samples, settings)
    if settings.task == "readmission":
        return readmitted(tables, samples, settings)
    if settings.task == "ihm48":
        flag = pl.col("HOSPITAL_EXPIRE_FLAG")
        return samples.select(pl.when(flag.is_in([0, 1])).then(flag).otherwise(-1)).to_series()
    if settings.hourly:
        hourly = remaining_stay(settings) if settings.task == "los" else within_ahead(settings)
        return samples.select(hourly).to_series()
    published = settings.outcome == "published"
    return samples.select(published_mortality() if published else exclusive_mortality(settings)).to_series()


def exclusive_mortality(settings: Settings) -> pl.Expr:
    """Class k if death falls between horizons k − 1 and k after the prediction time; 0 if later, or not known to have died;
    −1 if known to have died, but not when."""
    hours = (death_time() - pl.col("prediction")).dt.total_seconds() / 3600
    label = pl.lit(0)
    for number, horizon in reversed(list(enumerate(settings.horizons, start=1))):
        label = pl.when(hours <= horizon).then(number).otherwise(label)
    return pl.when(undated_death()).then(-1).when(hours.is_null()).then(0).otherwise(label)


def published_mortality() -> pl.Expr:
    """As the published code reads its nested columns: 1, 2, 3 days after ICU admission (in-hospital deaths), then 30 days and a
    year after DISCHARGE (any death; DOD is a date, so a death in hospital counts here too). −1 where a date that would decide
    stands there but can't be read, or the patient is known to have died on no date."""
    stay = (pl.col("DEATHTIME") - pl.col("INTIME")).dt.total_seconds() / 3600
    after = (pl.col("DOD") - pl.col("DISCHTIME")).dt.total_seconds() / 86_400
    unread = (pl.col("DOD_GIVEN") & pl.col("DOD").is_null()) | (
        pl.col("DEATHTIME_GIVEN") & pl.col("DEATHTIME").is_null()
    )
    undated = pl.col("died") & pl.col("DOD").is_null() & pl.col("DEATHTIME").is_null()
    label = pl.when(unread | undated).then(-1).when(after <= 30).then(4).when(after <= 365.245).then(5).otherwise(0)
    for days in (3, 2, 1):
        label = pl.when(stay <= 24 * days).then(days).otherwise(label)
    return label


def follow_up(samples: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """`_event`, `_hours` (from prediction time to death, or to discharge where no death is known), `_censored`, and
    `_input_hours` (from INTIME to the end of the input). Who died nobody knows when has no event, no hours, and is not censored."""
    end = pl.when(~undated_death()).then(pl.coalesce(death_time(), pl.col("DISCHTIME")))
    hours = (end - pl.col("prediction")).dt.total_seconds() / 3600
    died = death_time().is_not_null()
    ends = pl.col("start") / 3600 + settings.window_hours
    return samples.select(_event=died, _hours=hours, _censored=~died & ~undated_death(), _input_hours=ends)


def icd9(tables: dict[str, Ingested], samples: pl.DataFrame, settings: Settings) -> pl.Series:
    """1 if the admission has a code of the group (ICD-9, or ICD-10 as of `icd10.GROUPS`), 0 if only others, −1 if it has no code."""
    read = tables["DIAGNOSES_ICD"].scan().select("HADM_ID", "SEQ_NUM", code=icd9_code(), tenth=icd10.code()).collect()
    codes = read.filter(pl.any_horizontal(pl.col("code", "tenth").is_not_null()))
    grouped = (
        samples.select("row", "HADM_ID")
        .join(codes, on="HADM_ID")
        .sort("row", "SEQ_NUM")
        .with_columns(group=pl.coalesce(group_of(pl.col("code")), icd10.group_of(pl.col("tenth"))))
    )
    group = settings.icd9_group
    if settings.outcome == "published":  # a code of no group repeats the one before it; columns shift past rare groups
        grouped = grouped.with_columns(pl.col("group").forward_fill().over("row"))
        counts = grouped.drop_nulls("group").group_by("group").len().filter(pl.col("len") > ENOUGH_CODES)
        columns = sorted(counts["group"].to_list())
        group = columns[group] if group < len(columns) else -1
    has = grouped.group_by("row").agg((pl.col("group") == group).any().cast(pl.Int8).alias("label"))
    unknown = 0 if settings.outcome == "published" else -1
    return samples.select("row").join(has, on="row", how="left", maintain_order="left")["label"].fill_null(unknown)


def group_of(code: pl.Expr) -> pl.Expr:
    """The ICD-9 group of a code, null for 677–679 and what is no code."""
    number = code.str.strip_chars().str.head(3).cast(pl.Int32, strict=False)
    group = pl.lit(None, pl.Int32)
    for index, first in enumerate(GROUP_STARTS):
        group = pl.when(number >= first).then(index).otherwise(group)
    group = pl.when(number.is_between(678, 679)).then(None).otherwise(group)
    letter = code.str.strip_chars().str.to_uppercase().str.head(1)
    return pl.when(letter == "V").then(19).when(letter == "E").then(20).otherwise(group)
