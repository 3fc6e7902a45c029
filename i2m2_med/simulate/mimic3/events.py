"""CHARTEVENTS, LABEVENTS and OUTPUTEVENTS of the simulated cases, blemishes included.

Events are long columns: `case` (row of the cases), `hour` (since ICU admission), ITEMID, VALUENUM, VALUE, VALUEUOM, ERROR.
"""

import numpy as np
import polars as pl

from i2m2_med.simulate.mimic3.cases import Array, Cases
from i2m2_med.simulate.mimic3.items import (
    CHART_UNITS,
    EYES,
    FAHRENHEIT,
    GAS_SHARE,
    GCS_WORDS,
    INTUBATED,
    LAB_UNITS,
    LABS,
    MOTOR,
    PO2_PER_FIO2,
    URINE,
    VERBAL,
    VITALS,
    WEIGHT,
    Charted,
)
from i2m2_med.simulate.mimic3.stays import Stays

CHARTED_HOURS = 54.0
"""Nothing is charted after this many hours of a stay, to keep the tables small."""


def hours_of(stays: Stays) -> Array:
    """(case,): hours from ICU admission to the last entry; 0 where there is no ICU stay."""
    stay = (stays.outtime - stays.intime) / np.timedelta64(1, "h")
    return np.where(stays.odd == 3, 0.0, np.minimum(stay, CHARTED_HOURS))


def times_of(start: Array, end: Array, apart: float, rng: np.random.Generator) -> tuple[np.ndarray, Array]:
    """(event,) case and hour: one entry about every `apart` hours from `start` to `end`, to the minute."""
    steps = np.arange(int(np.ceil((end.max() - start.min()) / apart)) + 1)
    hour = start[:, None] + apart * (steps + rng.uniform(0, 0.8, (len(start), len(steps))))
    case, step = np.nonzero(hour < end[:, None])
    return case, np.round(hour[case, step] * 60) / 60


def draw_values(item: Charted, cases: Cases, case: np.ndarray, hour: Array, rng: np.random.Generator) -> Array:
    """(event,) values as `Charted` says; the sweep runs from -1 to 1 over the first day and then stays."""
    person = item.base + item.patient * rng.standard_normal(len(cases)) + item.slope * cases.level[:, item.finding]
    sweep = item.sweep * cases.trend[case, item.swept] * np.clip(hour / 12 - 1, -1, 1)
    value = person[case] + sweep + item.noise * rng.standard_normal(len(case))
    return np.round(np.clip(value, item.low, item.high), item.digits)


def entries(
    case: np.ndarray, hour: Array, item: np.ndarray | int, value: Array, text: np.ndarray | None = None
) -> pl.DataFrame:
    """Long columns of one item; VALUE is the number as text unless given."""
    frame = pl.DataFrame({"case": case, "hour": hour, "ITEMID": np.broadcast_to(item, case.shape), "VALUENUM": value})
    written = pl.Series("VALUE", np.char.mod("%g", value) if text is None else text)
    return frame.with_columns(written, ERROR=pl.lit(0))


def chart_events(cases: Cases, stays: Stays, rng: np.random.Generator) -> pl.DataFrame:
    """Vitals, weight, inspired oxygen and coma scale in the items of each stay's bedside system."""
    end = hours_of(stays)
    start = np.zeros(len(cases))
    parts = []
    for item in (*VITALS, WEIGHT):
        case, hour = times_of(start, end, item.hours, rng)
        number = np.where(stays.metavision[case], item.metavision, item.carevue)
        parts.append(entries(case, hour, number, draw_values(item, cases, case, hour, rng)))
    parts += coma_scale(stays, end, rng)
    table = in_fahrenheit(pl.concat(parts), rng)
    units = pl.col("ITEMID").replace_strict(CHART_UNITS, default=None, return_dtype=pl.String).alias("VALUEUOM")
    return chart_blemishes(table.with_columns(units), rng)


def coma_scale(stays: Stays, end: Array, rng: np.random.Generator) -> list[pl.DataFrame]:
    """Eyes, verbal, motor every four hours, mostly normal; some patients are intubated and have no verbal response."""
    n = len(end)
    intubated = rng.random(n) < 0.1
    case, hour = times_of(np.zeros(n), end, 4.0, rng)
    parts: list[pl.DataFrame] = []
    for items, best in ((EYES, 4), (VERBAL, 5), (MOTOR, 6)):
        number = np.where(stays.metavision[case], items[1], items[0])
        score = best - rng.binomial(best - 1, 0.12, len(case))
        words = np.array([GCS_WORDS[i][s - 1] for i, s in zip(number, score, strict=True)], dtype=object)
        if items == VERBAL:
            score = np.where(intubated[case], 1, score)
            words = np.where(intubated[case], [INTUBATED[i] for i in number], words)
        parts.append(entries(case, hour, number, score.astype(float), words.astype(str)))
    return parts


def in_fahrenheit(table: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Two thirds of the temperatures move to the Fahrenheit items; a few of either carry the other unit's number."""
    drawn = pl.Series(rng.random(table.height))
    celsius = pl.col("ITEMID").is_in(list(FAHRENHEIT))
    moved = celsius & (pl.lit(drawn) < 0.66)
    converted = celsius & (pl.lit(drawn) > 0.01) & (pl.lit(drawn) < 0.67)
    number = pl.when(converted).then((pl.col("VALUENUM") * 1.8 + 32).round(1)).otherwise("VALUENUM")
    item = pl.when(moved).then(pl.col("ITEMID").replace(FAHRENHEIT)).otherwise("ITEMID")
    table = table.with_columns(VALUENUM=number, ITEMID=item)
    return table.with_columns(
        VALUE=pl.when(celsius_or_fahrenheit()).then(pl.col("VALUENUM").cast(pl.String)).otherwise("VALUE")
    )


def celsius_or_fahrenheit() -> pl.Expr:
    """Rows that hold a temperature."""
    return pl.col("ITEMID").is_in([*FAHRENHEIT, *FAHRENHEIT.values()])


def chart_blemishes(table: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """1 % are marked as errors and absurd, 0.5 % hold text without a number, 1 % are entered twice."""
    drawn = pl.lit(pl.Series(rng.random(table.height)))
    wrong, text = drawn < 0.01, (drawn >= 0.01) & (drawn < 0.015)
    marred = table.with_columns(
        ERROR=pl.when(wrong).then(1).otherwise("ERROR"),
        VALUENUM=pl.when(wrong).then(pl.col("VALUENUM") * 10).when(text).then(None).otherwise("VALUENUM"),
        VALUE=pl.when(text).then(pl.lit(">60")).otherwise("VALUE"),
    )
    return pl.concat([marred, marred.filter(pl.Series(rng.random(table.height) < 0.01))])


def lab_events(cases: Cases, stays: Stays, rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Laboratory values (from up to six hours before ICU admission), and the inspired oxygen that goes with the blood gases."""
    end = hours_of(stays)
    start = np.where(end > 0, rng.uniform(-6, -3, len(cases)), 0.0)
    parts = [lab_panel(item, cases, start, end, rng) for item in LABS]
    gases, oxygen = blood_gases(cases, stays, start, end, rng)
    table = pl.concat([*parts, *gases])
    units = pl.col("ITEMID").replace_strict(LAB_UNITS, default=None, return_dtype=pl.String).alias("VALUEUOM")
    twice = table.filter(pl.Series(rng.random(table.height) < 0.01))
    return pl.concat([table, twice]).with_columns(units), oxygen


def lab_panel(item: Charted, cases: Cases, start: Array, end: Array, rng: np.random.Generator) -> pl.DataFrame:
    """One laboratory item; in 0.5 % the number is missing and only text is there."""
    measured = np.where(rng.random(len(cases)) < item.share, end, start)
    case, hour = times_of(start, measured, item.hours, rng)
    value = draw_values(item, cases, case, hour, rng)
    lost = rng.random(len(case)) < 0.005
    text = np.where(lost, "ERROR", np.char.mod("%g", value))
    return entries(case, hour, item.carevue, value, text).with_columns(
        VALUENUM=pl.when(pl.Series(lost)).then(None).otherwise("VALUENUM")
    )


def blood_gases(
    cases: Cases, stays: Stays, start: Array, end: Array, rng: np.random.Generator
) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    """Arterial PaO2 with specimen type, pH (of blood, and of urine as a trap), and FiO2 half an hour before, charted or measured.

    The first gas is always drawn after ICU admission, so that charted FiO2 is in the same stay.
    """
    has = rng.random(len(cases)) < GAS_SHARE
    case, hour = times_of(np.maximum(start, 1.0), np.where(has, end, 0.0), PO2_PER_FIO2.hours, rng)
    ratio = draw_values(PO2_PER_FIO2, cases, case, hour, rng)
    percent = rng.choice([40.0, 50.0, 60.0], len(case))
    measured = rng.random(len(case)) < 0.2
    fraction = ~stays.metavision[case] | (rng.random(len(case)) < 0.2)
    oxygen = entries(
        case, hour - 0.5, np.where(stays.metavision[case], 223835, 190), np.where(fraction, percent / 100, percent)
    ).filter(pl.Series(~measured))
    arterial = np.full(len(case), "ART")
    nothing = np.full(len(case), np.nan)
    specimen = entries(case, hour, 50800, nothing, arterial).with_columns(VALUENUM=pl.lit(None, pl.Float64))
    return [
        entries(case, hour, 50821, np.round(ratio * percent)),
        entries(case, hour, 50816, percent).filter(pl.Series(measured)),
        specimen,
        entries(case, hour, 50820, np.round(7.38 + 0.04 * rng.standard_normal(len(case)), 2)),
        entries(case, hour + 0.2, 51491, rng.choice([5.0, 5.5, 6.0, 6.5], len(case))),
    ], oxygen


def output_events(cases: Cases, stays: Stays, rng: np.random.Generator) -> pl.DataFrame:
    """Urine about every two hours; one bladder irrigation each in a few MetaVision stays (in and out cancel)."""
    end = hours_of(stays)
    case, hour = times_of(np.zeros(len(cases)), end, URINE.hours, rng)
    number = np.where(stays.metavision[case], URINE.metavision, URINE.carevue)
    urine = entries(case, hour, number, draw_values(URINE, cases, case, hour, rng))
    rinsed = np.flatnonzero(stays.metavision & (end > 12) & (rng.random(len(cases)) < 0.05))
    at, volume = np.full(len(rinsed), 10.0), np.full(len(rinsed), 300.0)
    return pl.concat([urine, *(entries(rinsed, at, item, volume) for item in (227488, 227489))])


def place(events: pl.DataFrame, stays: Stays, rng: np.random.Generator) -> pl.DataFrame:
    """Events with identifiers and times, sorted by subject, time and item; some identifiers are missing."""
    case, n = events["case"].to_numpy(), events.height
    chart = stays.intime[case] + np.round(events["hour"].to_numpy() * 60).astype("timedelta64[m]")
    columns = {
        "SUBJECT_ID": stays.subject[case],
        "HADM_ID": stays.hadm[case],
        "ICUSTAY_ID": stays.icustay[case],
        "CHARTTIME": chart,
        "STORETIME": chart + rng.integers(2, 45, n).astype("timedelta64[m]"),
        "CGID": rng.integers(14_000, 21_500, n),
        "metavision": stays.metavision[case],
    }
    there = events.hstack(pl.DataFrame(columns)).with_columns(
        HADM_ID=pl.when(pl.Series(rng.random(n) < 0.01)).then(None).otherwise("HADM_ID"),
        ICUSTAY_ID=pl.when(pl.Series(rng.random(n) < 0.02)).then(None).otherwise("ICUSTAY_ID"),
    )
    return there.sort("SUBJECT_ID", "CHARTTIME", "ITEMID", maintain_order=True)
