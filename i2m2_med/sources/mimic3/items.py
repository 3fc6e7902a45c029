"""The item map: which charted item is which concept, in which unit, within which limits (`items.csv`, one row per item and set)."""

from functools import lru_cache
from importlib.resources import files
from typing import Any

import polars as pl

from i2m2_med.sources.mimic3.units import unit_of

UNKNOWN_UNIT = "?"
INTUBATED = ("1.0 ET/Trach", "No Response-ETT")
"""Text charted as the verbal response of a patient who can't speak, in CareVue and in MetaVision."""
SAPS12 = (
    "gcs",
    "sbp",
    "heart_rate",
    "temperature",
    "pao2_fio2",
    "urine",
    "bun",
    "wbc",
    "bicarbonate",
    "sodium",
    "potassium",
    "bilirubin",
)
"""The paper's 12 series in the published order; units: points, mmHg, bpm, °C, mmHg per %, mL, mg/dL, K/uL, mEq/L ×3, mg/dL."""
BENCHMARK17 = (
    "capillary_refill",
    "dbp",
    "fio2",
    "gcs_eye",
    "gcs_motor",
    "gcs_total",
    "gcs_verbal",
    "glucose",
    "heart_rate",
    "height",
    "map",
    "spo2",
    "respiratory_rate",
    "sbp",
    "temperature",
    "weight",
    "ph",
)
"""The 17 channels of mimic3-benchmarks, GCS as integers (its strings give the database away), fluids other than blood left out."""
LET_IN = {"checked": ("checked",), "all_urine": ("checked", "all_urine"), "published": ("published",)}
"""Kinds of rows of the item map that a flag lets in, beside those that count under every one."""
CHANNELS = {"saps12": SAPS12, "benchmark17": BENCHMARK17}


@lru_cache
def read_items() -> pl.DataFrame:
    """The whole map. `valid` limits the value as charted, before `converter`; `accepted` are the units it may be charted in, by
    their name in `units.py`; `used` says under which flags `items` the row counts."""
    text = files("i2m2_med.sources.mimic3").joinpath("items.csv").read_bytes()
    items = pl.read_csv(text, schema_overrides={"fluid": pl.String, "converter": pl.String, "accepted": pl.String})
    low = pl.col("valid").str.slice(1).str.split(",").list.first().cast(pl.Float64)
    high = pl.col("valid").str.head(-1).str.split(",").list.last().cast(pl.Float64)
    closed = (pl.col("valid").str.starts_with("[").alias("low_in"), pl.col("valid").str.ends_with("]").alias("high_in"))
    return items.with_columns(low.alias("low"), high.alias("high"), *closed)


def items_of(channels: str, items: str) -> pl.DataFrame:
    """The rows of one set (`saps12`, `benchmark17`) that the flag `items` (`checked`, `all_urine`, `published`) lets in."""
    return read_items().filter(pl.col("set") == channels, pl.col("used").is_in(["both", *LET_IN[items]]))


def all_item_ids(table: str) -> list[int]:
    """Every item of a table that any task reads: what one pass over the table keeps."""
    return sorted(set(read_items().filter(pl.col("table") == table)["item"].to_list()))


def word_items(table: str) -> list[int]:
    """Items whose words are read, not only their number; of the others no text is kept."""
    worded = pl.col("converter").is_in(["text", "gcs_verbal", "capillary_refill"])
    return sorted(set(read_items().filter(pl.col("table") == table, worded)["item"].to_list()))


@lru_cache
def concept_type() -> Any:
    """Concepts as numbers with names: a tenth of the time that text takes."""
    return pl.Enum(sorted({*read_items()["concept"].to_list(), *SAPS12, "pao2", "fio2"}))


def rules_of(items: pl.DataFrame) -> pl.LazyFrame:
    """Return the rules for charted rows by ITEMID: concept (enumerated), accepted units, converter, limits."""
    return items.lazy().select(
        "converter",
        "low",
        "high",
        "low_in",
        "high_in",
        pl.col("concept").cast(concept_type()),
        pl.col("accepted").str.split(";"),
        ITEMID=pl.col("item").cast(pl.Int64),
    )


def in_range() -> pl.Expr:
    """Whether `number` lies within the item's limits; null where there is no number."""
    above = (
        pl.when(pl.col("low_in")).then(pl.col("number") >= pl.col("low")).otherwise(pl.col("number") > pl.col("low"))
    )
    below = (
        pl.when(pl.col("high_in")).then(pl.col("number") <= pl.col("high")).otherwise(pl.col("number") < pl.col("high"))
    )
    return above & below


def unit_fits() -> pl.Expr:
    """Whether the unit (`UNIT`) is one the item is charted in; no unit, or none expected, fits."""
    return pl.col("UNIT").is_null() | pl.col("accepted").list.contains(pl.col("UNIT")).fill_null(True)


def units_of(spelled: pl.Series) -> pl.Series:
    """Units by name for units as charted: null where none is charted, `UNKNOWN_UNIT` where its spelling is in no table."""
    names = {text: unit_of(text) or UNKNOWN_UNIT for text in spelled.unique().drop_nulls() if text.strip()}
    return spelled.replace_strict(names, default=None, return_dtype=pl.String)


def converted() -> pl.Expr:
    """`number` in the concept's unit."""
    v = pl.col("number")
    rules = {
        "fahrenheit": (v - 32) / 1.8,
        "fraction": pl.when(v > 1).then(v / 100).otherwise(v),
        "fio2_fraction": v * 100,
        "fio2_any": pl.when(v <= 1).then(v * 100).when(v >= 21).then(v),
        "negative": -v,
        "inch": v * 2.54,
        "pound": v * 0.45359237,
        "ounce": v * 0.028349523125,
    }
    value = v
    for name, rule in rules.items():
        value = pl.when(pl.col("converter") == name).then(rule).otherwise(value)
    return value


def number_of(verbal_missing: bool = False) -> pl.Expr:
    """The charted number; text that stands for one (capillary refill) as such. The verbal response of an intubated patient is 0,
    or with `verbal_missing` none."""
    text = pl.col("VALUE").str.strip_chars()
    refill = (
        pl.when(text.str.starts_with("Normal") | text.str.starts_with("Brisk"))
        .then(0.0)
        .when(text.str.starts_with("Abnormal") | text.str.starts_with("Delayed"))
        .then(1.0)
    )
    intubated = text.is_in(INTUBATED)
    zero = intubated & (pl.col("converter") == "gcs_verbal")
    missing = intubated & (pl.col("concept") == "gcs_verbal") & verbal_missing
    return (
        pl.when(pl.col("converter") == "capillary_refill")
        .then(refill)
        .when(missing.fill_null(False))
        .then(None)
        .when(zero.fill_null(False))
        .then(0.0)
        .otherwise(pl.col("VALUENUM"))
    )
