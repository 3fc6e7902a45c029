"""Who is in the cohort: ICU stays (or first admissions with their stays merged), each step counted."""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.source import Flow

YEAR = 365.2425
CAPPED_AGE = 90.0  # birth dates of patients above 89 are shifted: their ages come out near 300


@dataclass(frozen=True)
class SelectedStays:
    """Samples and the ICU stays they are made of."""

    samples: pl.DataFrame
    """One row per sample, in the order of the arrays: `row`, ids, times and attributes of its (first) stay and admission."""
    stays: pl.DataFrame
    """`row`, `stay` (number), SUBJECT_ID, HADM_ID, ICUSTAY_ID, INTIME, OUTTIME of every stay of every sample."""


def gather(tables: dict[str, Ingested], flow: Flow) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(stays with their admission and patient, admissions); what resolves nowhere is counted and left out.

    `in_order` marks stays that don't end before they start; `died` patients known to have died, `DIED_LATER` when they died in
    any of their admissions.
    """
    patients = once(tables["PATIENTS"], "SUBJECT_ID", "patients", flow)
    admissions = with_deaths(once(tables["ADMISSIONS"], "HADM_ID", "admissions", flow), patients)
    stays = once(tables["ICUSTAYS"], "ICUSTAY_ID", "ICU stays", flow)
    with_stay = admissions.join(stays, on="HADM_ID", how="semi")
    count(flow, "admissions: with an ICU stay", admissions, with_stay, "no ICU stay")
    resolved = stays.join(admissions, on=["SUBJECT_ID", "HADM_ID"]).join(patients, on="SUBJECT_ID")
    count(flow, "ICU stays: admission and patient known", stays, resolved, "ids that resolve nowhere")
    in_order = pl.col("OUTTIME").is_null() | (pl.col("OUTTIME") >= pl.col("INTIME"))
    marked = resolved.with_columns(in_order=in_order.fill_null(False))
    return marked.sort("SUBJECT_ID", "INTIME", "ICUSTAY_ID"), admissions


def with_deaths(admissions: pl.DataFrame, patients: pl.DataFrame) -> pl.DataFrame:
    """Add `died` (a flag or a date of death stands in any row of the patient's, readable or not) and `DIED_LATER`."""
    dead = pl.col("DEATHTIME_GIVEN") | (pl.col("HOSPITAL_EXPIRE_FLAG") == 1).fill_null(False)
    of_admissions = admissions.group_by("SUBJECT_ID").agg(
        dead.any().alias("died"), pl.col("DEATHTIME").min().alias("DIED_LATER")
    )
    of_patient = patients.select("SUBJECT_ID", also=pl.col("DOD_GIVEN") | (pl.col("EXPIRE_FLAG") == 1).fill_null(False))
    joined = admissions.join(of_admissions, on="SUBJECT_ID", how="left", maintain_order="left").join(
        of_patient, on="SUBJECT_ID", how="left", maintain_order="left"
    )
    return joined.with_columns(died=pl.col("died") | pl.col("also").fill_null(False)).drop("also")


def count(flow: Flow, step: str, before: pl.DataFrame, after: pl.DataFrame, why: str) -> None:
    """One step of the cohort flow; why only where somebody was left out."""
    dropped = before.height - after.height
    flow.step(step, after.height, dropped, why if dropped else "")


def once(table: Ingested, key: str, what: str, flow: Flow) -> pl.DataFrame:
    """A small table, each key once: repeated and missing ones are counted and left out."""
    rows = table.scan().collect()
    distinct = rows.filter(pl.col(key).is_not_null()).unique(key, keep="first", maintain_order=True)
    count(flow, f"{what}: read", rows, distinct, f"repeated or missing {key}")
    if distinct.height == 0:
        why = f"none of its {rows.height:,} rows has a {key} that can be read" if rows.height else "it has no rows"
        raise SourceError(f"the table of {what} is of no use: {why}")
    return distinct


def select(settings: Settings, stays: pl.DataFrame, admissions: pl.DataFrame, flow: Flow) -> SelectedStays:
    """The samples that ids, age and the unit allow; length and survival are judged once the records are known."""
    chosen = {
        "first_stay": first_stays,
        "every_stay": every_stay,
        "single_stay": single_stays,
        "first_admission": first_admissions,
    }[settings.unit](settings, stays, admissions, flow)
    merged = settings.unit == "first_admission"
    key, order = ("HADM_ID", ["HADM_ID", "INTIME"]) if merged else ("ICUSTAY_ID", ["SUBJECT_ID", "ICUSTAY_ID"])
    chosen = in_order(chosen, key, flow)
    if chosen.height == 0:
        raise SourceError(f"no ICU stay is left after the cohort's rules: {last_drop(flow)}")
    chosen = chosen.sort(order)
    samples = chosen.unique(key, keep="first", maintain_order=True).with_row_index("row")
    samples = samples.with_columns(pl.col("row").cast(pl.Int32))
    rows = samples.select("row", key, reference=pl.col("INTIME"))
    ids = ["SUBJECT_ID", "HADM_ID", "ICUSTAY_ID", "INTIME", "OUTTIME", "ADMITTIME"]
    numbered = chosen.select(ids).join(rows, on=key).sort("row", "INTIME").with_row_index("stay")
    return SelectedStays(samples, numbered.with_columns(pl.col("stay").cast(pl.Int32)))


def in_order(chosen: pl.DataFrame, key: str, flow: Flow) -> pl.DataFrame:
    """Leave out stays without INTIME or that end before they start, and samples that begin with such a one: the next stay does
    not take the first one's place."""
    begins = pl.col("in_order").sort_by("INTIME", nulls_last=False).first().over(key)
    kept = chosen.filter(pl.col("in_order") & begins)
    count(flow, "ICU stays: in order of time", chosen, kept, "no INTIME, or OUTTIME before INTIME")
    return kept


def last_drop(flow: Flow) -> str:
    """The step of the flow that left nobody, and why."""
    step = next(step for step in reversed(flow.steps) if step["dropped"])
    return f"the step '{step['step']}' left out all of the last {step['dropped']:,} ({step['why']})"


def adults(settings: Settings, stays: pl.DataFrame, flow: Flow, at: str, days: float) -> pl.DataFrame:
    """Those old enough at the time `at`; a shifted birth date (300 years) is old enough, an unknown one is not."""
    age = (pl.col(at) - pl.col("DOB")).dt.total_seconds() / 86_400
    kept = stays.filter(
        (age >= settings.minimum_age * days) | pl.col(at).is_null()
    )  # without a time: left out by `in_order`
    step = f"ICU stays: at least {settings.minimum_age:g} years old at {at}"
    count(flow, step, stays, kept, "younger, or birth date unknown")
    return kept


def first_stays(settings: Settings, stays: pl.DataFrame, _: pl.DataFrame, flow: Flow) -> pl.DataFrame:
    """Each adult subject's first ICU stay."""
    old = adults(settings, stays, flow, "INTIME", YEAR)
    first = old.sort("INTIME", "ICUSTAY_ID").unique("SUBJECT_ID", keep="first", maintain_order=True)
    count(flow, "ICU stays: first of each patient", old, first, "later stays")
    return first


def every_stay(settings: Settings, stays: pl.DataFrame, _: pl.DataFrame, flow: Flow) -> pl.DataFrame:
    """Every ICU stay of every adult."""
    return adults(settings, stays, flow, "INTIME", YEAR)


def single_stays(settings: Settings, stays: pl.DataFrame, _: pl.DataFrame, flow: Flow) -> pl.DataFrame:
    """As mimic3-benchmarks: no transfer between wards (where any is known) or units, then the only stay of its admission, then
    adults."""
    ward = pl.col("FIRST_WARDID") == pl.col("LAST_WARDID")
    unit = pl.col("FIRST_CAREUNIT") == pl.col("LAST_CAREUNIT")
    settled = ward.fill_null(ward.is_null().all()) & unit.fill_null(unit.is_null().all())
    still = stays.filter(settled)
    count(flow, "ICU stays: in one ward and unit", stays, still, "transferred between units")
    only = still.filter(pl.len().over("HADM_ID") == 1)
    count(flow, "ICU stays: only one of its admission", still, only, "several stays")
    return adults(settings, only, flow, "INTIME", YEAR)


def first_admissions(settings: Settings, stays: pl.DataFrame, admissions: pl.DataFrame, flow: Flow) -> pl.DataFrame:
    """As the published code: all stays of each subject's first hospital admission (by ADMITTIME, of all admissions)."""
    first = admissions.sort("ADMITTIME", "HADM_ID").unique("SUBJECT_ID", keep="first", maintain_order=True)
    kept = stays.join(first.select("HADM_ID"), on="HADM_ID", how="semi")
    count(flow, "ICU stays: in the patient's first admission", stays, kept, "later admissions")
    return adults(settings, kept, flow, "ADMITTIME", 365.25)


def with_times(samples: pl.DataFrame, settings: Settings, span: pl.DataFrame) -> pl.DataFrame:
    """Add `start` (seconds from INTIME to hour 0), `origin` and `prediction` (datetimes), and the `first` and `last` record of `span`."""
    joined = samples.join(span, on="row", how="left", maintain_order="left")
    length = (pl.col("OUTTIME") - pl.col("INTIME")).dt.total_seconds()
    start = {
        "icu_intime": pl.lit(0, pl.Int64),
        "first_record": pl.col("first").fill_null(0),
        "before_outtime": length - settings.window_hours * 3600,
    }[settings.origin]
    ahead = timedelta(hours=settings.window_hours + settings.gap_hours)
    origin = pl.col("INTIME") + pl.duration(seconds=start)
    prediction = pl.col("DISCHTIME") if settings.task == "readmission" else origin + ahead
    return joined.with_columns(start=start, origin=origin, prediction=prediction)


def keep_long_enough(samples: pl.DataFrame, settings: Settings, flow: Flow) -> pl.DataFrame:
    """Drop samples that are too short, and (exclusive outcome) those dead before the prediction time; a phenotype is a finding on
    the dead too. `row` stays what it was."""
    step, long = long_enough(settings)
    kept = samples.filter(long)
    count(flow, step, samples, kept, "too short" if settings.origin != "before_outtime" else "time unknown")
    if settings.outcome == "exclusive" and settings.task != "phenotyping":
        kept = keep_alive(kept, settings, flow)
    if kept.height == 0:
        raise SourceError(
            "no sample is left after the cohort's rules; see the cohort flow, and loosen window, gap or age"
        )
    return kept


def long_enough(settings: Settings) -> tuple[str, pl.Expr]:
    """(the step's name in the cohort flow, which samples are long enough)."""
    if settings.length == "records":
        long = (pl.col("last") - pl.col("first") > settings.window_hours * 3600).fill_null(False)
        return f"samples: records over more than {settings.window_hours} h", long
    if settings.origin == "before_outtime":
        return "samples: it is known when they left", pl.col("OUTTIME").is_not_null() & pl.col(
            "prediction"
        ).is_not_null()
    long = pl.col("OUTTIME").is_null() | (pl.col("OUTTIME") >= pl.col("prediction"))
    return f"samples: in the ICU for {settings.window_hours + settings.gap_hours:g} h", long


def keep_alive(samples: pl.DataFrame, settings: Settings, flow: Flow) -> pl.DataFrame:
    """Drop those dead before the prediction time; with one at discharge, all who died in hospital."""
    alive = death_time().is_null() | (death_time() > pl.col("prediction"))
    if settings.task == "readmission":
        alive &= (pl.col("HOSPITAL_EXPIRE_FLAG") != 1).fill_null(True)
    kept = samples.filter(alive)
    count(flow, "samples: alive at prediction time", samples, kept, "died before it")
    return kept


def death_time() -> pl.Expr:
    """When the patient died: DEATHTIME to the minute, else the end of the day of DOD (which is a date), else in another admission;
    null if not known."""
    return pl.coalesce(pl.col("DEATHTIME"), pl.col("DOD") + timedelta(days=1), pl.col("DIED_LATER"))


def undated_death() -> pl.Expr:
    """Whether the patient is known to have died, but not when."""
    return pl.col("died") & death_time().is_null()
