"""Sepsis-3 (Singer et al., JAMA 2016): suspected infection and a SOFA of 2 or more, from 48 h before to 24 h after the suspicion.

As mimic-code's concepts have it: SOFA is taken every hour from the worst values of the last 24 h, and was 0 before the ICU; only
antibiotics begun in the ICU count. The onset is the first hour at which both hold. What a SOFA of 2 doesn't turn on is not read:
ventilation (it parts 3 and 4 points from 2) and doses (any catecholamine infusion is 2 points or more).
"""

import numpy as np
import polars as pl

from i2m2_med.sources.mimic3.cohort import SelectedStays
from i2m2_med.sources.mimic3.infection import suspicions
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.measure import RAW_SAPS, charted_rows, values_of
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.source import Flow

PARTS = ("respiration", "coagulation", "liver", "circulation", "nerves", "kidneys")
ENOUGH = 2
DAY = 24
LITTLE_URINE = 500.0
"""mL in 24 hours; below it the kidneys have 3 points."""
STAYS_AT_ONCE = 256
REWRITTEN = "Rewritten"
"""Of MetaVision's orders, those that were never given."""


def onsets(tables: dict[str, Ingested], cohort: SelectedStays, settings: Settings) -> pl.DataFrame:
    """`row`, `event`: the time of onset of every stay that has one. cohort: of which `row` is a stay."""
    stays = cohort.samples.select("row", "SUBJECT_ID", "HADM_ID", "INTIME", "OUTTIME")
    begun = stays.join(suspicions(tables), on=["SUBJECT_ID", "HADM_ID"])
    same_day = (pl.col("given") == pl.col("given").dt.truncate("1d")) & (
        pl.col("given") == pl.col("INTIME").dt.truncate("1d")
    )
    inside = ((pl.col("given") >= pl.col("INTIME")) | same_day) & (pl.col("given") < pl.col("OUTTIME"))
    suspected = begun.filter(inside).select("row", "INTIME", "suspected").unique()
    failing = organ_failure(tables, cohort, settings).join(suspected, on="row")
    at = pl.col("INTIME") + pl.duration(hours=pl.col("hour") + 1)  # the hour is over
    near = at.is_between(pl.col("suspected") - pl.duration(hours=48), pl.col("suspected") + pl.duration(hours=24))
    both = failing.with_columns(at=at).filter(near)
    return both.group_by("row").agg(event=pl.max_horizontal("at", "suspected").min())


def organ_failure(tables: dict[str, Ingested], cohort: SelectedStays, settings: Settings) -> pl.DataFrame:
    """`row`, `hour`: the hours of each stay by whose end SOFA is 2 or more."""
    points, urine = pl.concat(points_of(tables, cohort, settings)), urine_of(tables, cohort, settings)
    length = (pl.col("OUTTIME") - pl.col("INTIME")).dt.total_hours()
    hours = cohort.samples.select("row", n=length.fill_null(0)).filter(pl.col("n") > 0)
    failing: list[pl.DataFrame] = []
    for begin in range(0, hours.height, STAYS_AT_ONCE):
        part = hours[begin : begin + STAYS_AT_ONCE]
        score = worst_of_day(dense(points, part, len(PARTS)))
        score[..., PARTS.index("kidneys")] = np.maximum(
            score[..., PARTS.index("kidneys")], oliguria(dense(urine, part, 2))
        )
        stay, hour = np.nonzero(
            (score.sum(axis=2) >= ENOUGH) & (np.arange(score.shape[1]) < part["n"].to_numpy()[:, None])
        )
        failing.append(
            pl.DataFrame(
                {"row": part["row"].to_numpy()[stay], "hour": hour}, schema={"row": pl.Int32, "hour": pl.Int64}
            )
        )
    return pl.concat(failing) if failing else pl.DataFrame(schema={"row": pl.Int32, "hour": pl.Int64})


def points_of(tables: dict[str, Ingested], cohort: SelectedStays, settings: Settings) -> list[pl.DataFrame]:
    """`row`, `hour`, `part`, `value`: 1 point, or 2 for 2 and more, of every measurement that gives any."""
    saps = values_of(charted(tables, cohort, settings, "saps12"), settings.model_copy(update={"channels": "saps12"}))
    named = saps.with_columns(
        concept=pl.col("channel").replace_strict(dict(enumerate(RAW_SAPS)), return_dtype=pl.String)
    )
    gases = named.filter(pl.col("concept").is_in(["pao2", "fio2"])).pivot(
        "concept", index=["row", "seconds"], values="value"
    )
    ratio = (
        pl.col("pao2") / pl.col("fio2") * 100 if {"pao2", "fio2"} <= set(gases.columns) else pl.lit(None, pl.Float64)
    )
    gases = gases.select("row", "seconds", concept=pl.lit("ratio"), value=ratio)
    pressure = charted(tables, cohort, settings, "benchmark17").filter(pl.col("concept") == "map")
    labs = charted(tables, cohort, settings, "sofa")
    columns = ["row", "seconds", pl.col("concept").cast(pl.String), "value"]
    every = pl.concat([frame.select(columns) for frame in (named, gases, pressure, labs)])
    return [graded(every), infusions(tables, cohort)]


def graded(values: pl.DataFrame) -> pl.DataFrame:
    """Points of measured values: `row`, `seconds`, `concept`, `value` → as of `points_of`."""
    v = pl.col("value")
    rules = {
        "ratio": ("respiration", v < 300, v < 400),
        "platelets": ("coagulation", v < 100, v < 150),
        "bilirubin": ("liver", v >= 2.0, v >= 1.2),
        "map": ("circulation", pl.lit(False), v < 70),
        "gcs": ("nerves", v <= 12, v <= 14),
        "creatinine": ("kidneys", v >= 2.0, v >= 1.2),
    }
    parts = [
        values.filter(pl.col("concept") == concept).select(
            "row",
            pl.col("seconds").floordiv(3600).alias("hour"),
            pl.lit(PARTS.index(part), pl.Int64).alias("part"),
            pl.when(two).then(2.0).when(one).then(1.0).otherwise(0.0).alias("value"),
        )
        for concept, (part, two, one) in rules.items()
    ]
    return pl.concat(parts).filter(pl.col("value") > 0)


def infusions(tables: dict[str, Ingested], cohort: SelectedStays) -> pl.DataFrame:
    """Two points for every hour in which a catecholamine ran."""
    stays = cohort.samples.lazy().select("row", "SUBJECT_ID", "INTIME", "OUTTIME")
    running: list[pl.LazyFrame] = []
    for name in ("INPUTEVENTS_MV", "INPUTEVENTS"):
        if name in tables:
            given = tables[name].scan().filter(pl.col("STATUSDESCRIPTION").fill_null("") != REWRITTEN)
            ended = pl.max_horizontal("STARTTIME", "ENDTIME")  # without an end it ran at its start
            running.append(given.select("SUBJECT_ID", "RATE", begin="STARTTIME", end=ended))
    if "INPUTEVENTS_CV" in tables:
        running.append(tables["INPUTEVENTS_CV"].scan().select("SUBJECT_ID", "RATE", begin="CHARTTIME", end="CHARTTIME"))
    of_stay = pl.concat(running).filter(pl.col("RATE") > 0).join(stays, on="SUBJECT_ID")
    first, last = (
        (pl.col(time) - pl.col("INTIME")).dt.total_seconds().floordiv(3600).clip(lower_bound=0)
        for time in ("begin", "end")
    )
    inside = of_stay.filter(pl.col("end") >= pl.col("INTIME"), pl.col("begin") <= pl.col("OUTTIME"))
    hours = inside.select("row", hour=pl.int_ranges(first, last + 1)).explode("hour").unique().collect()
    return hours.drop_nulls().select(
        "row", "hour", part=pl.lit(PARTS.index("circulation"), pl.Int64), value=pl.lit(2.0)
    )


def urine_of(tables: dict[str, Ingested], cohort: SelectedStays, settings: Settings) -> pl.DataFrame:
    """`row`, `hour`, `part` 0 and `value`: mL of each hour; and again as `part` 1, 1 where any was charted."""
    rows = charted(tables, cohort, settings, "saps12").filter(pl.col("concept") == "urine").drop_nulls("value")
    hourly = rows.group_by("row", hour=pl.col("seconds").floordiv(3600)).agg(pl.col("value").sum())
    kinds = [
        hourly.with_columns(part=pl.lit(part, pl.Int64), value=value)
        for part, value in enumerate((pl.col("value"), pl.lit(1.0)))
    ]
    return pl.concat(kind.select("row", "hour", "part", "value") for kind in kinds)


def charted(tables: dict[str, Ingested], cohort: SelectedStays, settings: Settings, channels: str) -> pl.DataFrame:
    """Charted rows of one set of items, over the whole of each stay, whenever they were stored: a label is no input."""
    return charted_rows(tables, cohort, settings.model_copy(update={"channels": channels}), Flow())


def dense(values: pl.DataFrame, part: pl.DataFrame, width: int) -> np.ndarray:
    """(stay, hour, part), the largest value of each; values from before the admission count in hour 0. part: `row`, `n` (hours)."""
    own = values.filter(pl.col("row").is_in(part["row"].implode()), pl.col("value").is_not_null())
    made = np.zeros((part.height, int(part["n"].max()) + 1, width))  # type: ignore[arg-type]
    place = np.searchsorted(part["row"].to_numpy(), own["row"].to_numpy())
    hour = np.clip(own["hour"].to_numpy(), 0, made.shape[1] - 1)
    np.maximum.at(made, (place, hour, own["part"].to_numpy()), own["value"].to_numpy())
    return made


def worst_of_day(points: np.ndarray) -> np.ndarray:
    """The largest of the last 24 hours, along axis 1."""
    worst = points.copy()
    for hours in range(1, DAY):
        worst[:, hours:] = np.maximum(worst[:, hours:], points[:, :-hours])
    return worst


def oliguria(urine: np.ndarray) -> np.ndarray:
    """(stay, hour): 2 points where the last 24 hours, all of them in the ICU, have urine charted but less than 500 mL in all."""
    total = np.cumsum(urine, axis=1)
    total[:, DAY:] -= np.cumsum(urine, axis=1)[:, :-DAY]
    whole = np.arange(urine.shape[1]) >= DAY - 1
    return np.where(whole & (total[..., 1] > 0) & (total[..., 0] < LITTLE_URINE), 2.0, 0.0)
