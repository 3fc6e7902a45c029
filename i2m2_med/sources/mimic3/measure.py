"""From charted rows to measured values: (row, seconds since INTIME, channel, value), in the channels' own units."""

import polars as pl

from i2m2_med.sources.mimic3.cohort import SelectedStays
from i2m2_med.sources.mimic3.gases import arterial
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.items import (
    CHANNELS,
    concept_type,
    converted,
    in_range,
    items_of,
    number_of,
    rules_of,
    unit_fits,
    units_of,
)
from i2m2_med.sources.mimic3.moments import known_in_time, once_per_moment, with_arterial_saturation
from i2m2_med.sources.mimic3.scores import coma_score
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.source import Flow

LOOKBACK_HOURS = 6
"""Labs count from this long before ICU admission (drawn on the way there)."""
MEAN = ("sbp", "heart_rate", "temperature")
LEAST = ("bun", "wbc", "bicarbonate", "sodium", "potassium", "bilirubin")
RAW_SAPS = ("gcs", "sbp", "heart_rate", "temperature", "pao2", "fio2", "urine", *LEAST)
"""The 13 series before PaO2 and FiO2 become one."""
EVENTS = ("CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS")


def measured(tables: dict[str, Ingested], cohort: SelectedStays, settings: Settings, flow: Flow) -> pl.DataFrame:
    """`row`, `seconds`, `channel` (number), `value`, sorted by row, channel, seconds, value; of saps12 one per moment."""
    charted = charted_rows(tables, cohort, settings, flow)
    if settings.available == "stored":
        charted = known_in_time(charted, starts(charted, cohort, settings), settings, flow)
    return values_of(charted, settings)


def charted_rows(tables: dict[str, Ingested], cohort: SelectedStays, settings: Settings, flow: Flow) -> pl.DataFrame:
    """The rows of all event tables that fall into a sample's time, as `rows_of` returns them."""
    return pl.concat([rows_of(tables[name], name, cohort, settings, flow) for name in EVENTS])


def values_of(charted: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Charted rows as values of the channels, as `measured` returns them."""
    if settings.moments == "last_stored":
        charted = once_per_moment(charted)
    saps = settings.channels == "saps12"
    if not saps and settings.items != "published":
        charted = with_arterial_saturation(charted)
    values, names = (saps_series(charted, settings), RAW_SAPS) if saps else (charted, CHANNELS[settings.channels])
    number = {name: index for index, name in enumerate(names)}
    channel = pl.col("concept").replace_strict(number, return_dtype=pl.Int32).alias("channel")
    return values.select("row", "seconds", channel, "value").sort("row", "channel", "seconds", "value")


def starts(charted: pl.DataFrame, cohort: SelectedStays, settings: Settings) -> pl.DataFrame | None:
    """`row`, `first` (seconds): hour 0 of each sample, as the first record that was stored within a window of itself, or by the
    stay's end; None where it is the ICU admission."""
    if settings.origin == "icu_intime":
        return None
    if settings.origin == "before_outtime":
        length = (pl.col("OUTTIME") - pl.col("reference")).dt.total_seconds()
        return cohort.stays.select("row", first=length - settings.window_hours * 3600).drop_nulls()
    soon = pl.col("stored").is_null() | (pl.col("stored") - pl.col("seconds") <= settings.window_hours * 3600)
    return values_of(charted.filter(soon), settings).group_by("row").agg(first=pl.col("seconds").min())


def rows_of(table: Ingested, name: str, cohort: SelectedStays, settings: Settings, flow: Flow) -> pl.DataFrame:
    """The rows of one table that fall into a sample's time: `row`, `stay`, `seconds`, `concept`, `value` (null: charted, but
    unusable), `stored` (seconds; null where not known), ITEMID."""
    items = items_of(settings.channels, settings.items).filter(pl.col("table") == name)
    if items.height == 0:
        return pl.DataFrame(schema=CHARTED)
    keys = keys_of(name, settings)
    within = (pl.col("CHARTTIME") >= pl.col("since")) & (
        pl.col("until").is_null() | (pl.col("CHARTTIME") <= pl.col("until"))
    )
    spans = spans_of(name, cohort, settings).select("row", "stay", "since", "until", "reference", *keys)
    rows = (
        as_events(table, name)
        .filter(pl.col("ITEMID").is_in(items["item"].to_list()))
        .join(spans.lazy(), on=keys)
        .filter(within)
        .join(rules_of(items), on="ITEMID")
        .filter(usable(name, settings))
        .with_columns(number=number_of(settings.gcs == "verbal_missing"))
        .with_columns(number=pl.when(in_range()).then(pl.col("number")))
        .select(
            "row",
            "stay",
            (pl.col("CHARTTIME") - pl.col("reference")).dt.total_seconds().alias("seconds"),
            "concept",
            pl.when(pl.col("converter") == "text").then(arterial_flag()).otherwise(converted()).alias("value"),
            (pl.col("STORETIME") - pl.col("reference")).dt.total_seconds().alias("stored"),
            pl.col("ITEMID").cast(pl.Int32),
        )
        .filter(pl.col("value").is_not_null() | pl.col("concept").is_in(["fio2_chart", "spo2_chart"]))
        .collect(engine="streaming")
    )
    if name == "OUTPUTEVENTS" and settings.items != "published":
        rows = without_repeats(rows, flow)
    return rows


def without_repeats(rows: pl.DataFrame, flow: Flow) -> pl.DataFrame:
    """Outputs are added up, so a row that stands there twice (same stay, time, item and value) counts once."""
    once = rows.unique(["row", "stay", "seconds", "ITEMID", "value"], keep="first", maintain_order=True)
    if once.height < rows.height:
        flow.remarks.append(
            f"{rows.height - once.height:,} outputs stand there twice (same stay, time, item, value); they count once."
        )
    return once


def as_events(table: Ingested, name: str) -> pl.LazyFrame:
    """Rows of an event table with VALUE (text), VALUENUM, UNIT (by name) and ERROR, whatever the table calls them."""
    lazy = table.scan().with_columns(
        pl.col("VALUEUOM").map_batches(units_of, return_dtype=pl.String, is_elementwise=True).alias("UNIT")
    )
    if name == "OUTPUTEVENTS":
        return lazy.rename({"VALUE": "VALUENUM", "ISERROR": "ERROR"}).with_columns(VALUE=pl.lit(None, pl.String))
    return lazy.with_columns(ERROR=pl.lit(False)) if name == "LABEVENTS" else lazy


CHARTED = {
    "row": pl.Int32,
    "stay": pl.Int32,
    "seconds": pl.Int64,
    "concept": concept_type(),
    "value": pl.Float64,
    "stored": pl.Int64,
    "ITEMID": pl.Int32,
}


def keys_of(name: str, settings: Settings) -> list[str]:
    """Return the columns that match a charted row to a stay: the patient's id (with the time), or the published code's ids."""
    if settings.unit != "first_admission":
        return ["SUBJECT_ID"]
    return ["SUBJECT_ID", "HADM_ID"] if name == "LABEVENTS" else ["SUBJECT_ID", "HADM_ID", "ICUSTAY_ID"]


def spans_of(name: str, cohort: SelectedStays, settings: Settings) -> pl.DataFrame:
    """From when until when a table's rows count, per stay: the window only where nothing else needs more."""
    since = pl.col("INTIME")
    if name == "LABEVENTS":
        since = since - pl.duration(hours=LOOKBACK_HOURS)
    first_window = settings.origin == "icu_intime" and not settings.hourly
    window_only = first_window and settings.fill == "causal" and settings.length == "stay"
    until = pl.lit(None, pl.Datetime("us")) if settings.unit == "first_admission" else pl.col("OUTTIME")
    if window_only:
        until = pl.col("reference") + pl.duration(hours=settings.window_hours)
    return cohort.stays.with_columns(since=since, until=until)


def usable(name: str, settings: Settings) -> pl.Expr:
    """Not marked as an error, and in the item's unit; the published code reads no mark on output rows and on SpO2, and no unit."""
    sound = ~pl.col("ERROR")
    if settings.items != "published":
        return sound & unit_fits()
    return pl.lit(True) if name == "OUTPUTEVENTS" else sound | (pl.col("concept") == "spo2_chart")


def arterial_flag() -> pl.Expr:
    """1 for a sample called arterial (ART, in MIMIC-IV "ART."), 0 for one called otherwise, null for one not called at all."""
    called = pl.col("VALUE").str.strip_chars(" .") == "ART"
    return pl.when(pl.col("VALUE").is_not_null()).then(called.cast(pl.Float64))


def per_moment(charted: pl.DataFrame, concepts: tuple[str, ...], how: pl.Expr) -> pl.DataFrame:
    """One value per sample, concept and moment."""
    of_them = charted.filter(pl.col("concept").is_in(concepts))
    return of_them.group_by("row", "concept", "seconds").agg(how).select(COLUMNS)


COLUMNS = ["row", "seconds", pl.col("concept").cast(concept_type()), "value"]


def saps_series(charted: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The 13 raw series of the paper: means of vitals, least of labs, sums of urine, scores, arterial gases."""
    urine = charted.filter(pl.col("concept") == "urine").group_by("row", "stay", "seconds").agg(pl.col("value").sum())
    return pl.concat(
        [
            per_moment(charted, MEAN, pl.col("value").mean()),
            per_moment(charted, LEAST, pl.col("value").min()),
            urine.group_by("row", "seconds")
            .agg(pl.col("value").mean())
            .with_columns(concept=pl.lit("urine"))
            .select(COLUMNS),
            coma_score(charted).select(COLUMNS),
            per_moment(charted, ("gcs",), pl.col("value").median()),  # totals that a hospital charts as such
            arterial(charted, settings.items != "published").select(COLUMNS),
        ]
    )
