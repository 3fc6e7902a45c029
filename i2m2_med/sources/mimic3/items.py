"""The item map: which charted item is which concept, in which unit, within which limits (`items.csv`, one row per item and set)."""

from functools import lru_cache
from importlib.resources import files
from typing import Any

import polars as pl

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
CHANNELS = {"saps12": SAPS12, "benchmark17": BENCHMARK17}


@lru_cache
def read_items() -> pl.DataFrame:
    """The whole map. `valid` limits the value as charted, before `converter`; `spellings` are accepted units, lower case."""
    text = files("i2m2_med.sources.mimic3").joinpath("items.csv").read_bytes()
    items = pl.read_csv(text, schema_overrides={"fluid": pl.String, "converter": pl.String, "spellings": pl.String})
    low = pl.col("valid").str.slice(1).str.split(",").list.first().cast(pl.Float64)
    high = pl.col("valid").str.head(-1).str.split(",").list.last().cast(pl.Float64)
    closed = (pl.col("valid").str.starts_with("[").alias("low_in"), pl.col("valid").str.ends_with("]").alias("high_in"))
    return items.with_columns(low.alias("low"), high.alias("high"), *closed)


def items_of(channels: str, items: str) -> pl.DataFrame:
    """The rows of one set (`saps12`, `benchmark17`) that the flag `items` (`checked`, `published`) lets in."""
    let_in = ["both"] if items == "checked" else ["both", "published"]
    return read_items().filter(pl.col("set") == channels, pl.col("used").is_in(let_in))


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
    """What a charted row is judged by, by ITEMID: concept (enumerated), accepted spellings of the unit, converter, limits."""
    return items.lazy().select(
        "converter",
        "low",
        "high",
        "low_in",
        "high_in",
        pl.col("concept").cast(concept_type()),
        pl.col("spellings").str.split(";"),
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
    """Whether the charted unit is one the item is written in; no unit, or none expected, fits."""
    unit = pl.col("VALUEUOM").str.strip_chars().str.to_lowercase()
    return unit.is_null() | (unit == "") | pl.col("spellings").list.contains(unit).fill_null(True)


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


def number_of() -> pl.Expr:
    """The charted number; text that stands for one (an intubated patient's verbal response = 0, capillary refill) as such."""
    text = pl.col("VALUE").str.strip_chars()
    refill = (
        pl.when(text.str.starts_with("Normal") | text.str.starts_with("Brisk"))
        .then(0.0)
        .when(text.str.starts_with("Abnormal") | text.str.starts_with("Delayed"))
        .then(1.0)
    )
    intubated = pl.when(text.is_in(["1.0 ET/Trach", "No Response-ETT"])).then(0.0).otherwise(pl.col("VALUENUM"))
    return (
        pl.when(pl.col("converter") == "capillary_refill")
        .then(refill)
        .when(pl.col("converter") == "gcs_verbal")
        .then(intubated)
        .otherwise(pl.col("VALUENUM"))
    )
