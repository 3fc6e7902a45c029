"""The records table: one row per sample, in the order of the arrays."""

import random
from itertools import pairwise

import numpy as np
import polars as pl

from i2m2_med.sources.mimic3.cohort import CAPPED_AGE, YEAR
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.labels import follow_up, label_columns
from i2m2_med.sources.mimic3.settings import Settings

AGE_BANDS = (45, 65, 80)
ETHNICITIES = ("white", "black", "hispanic", "asian")


def records(
    tables: dict[str, Ingested],
    samples: pl.DataFrame,
    arrays: dict[str, np.ndarray],
    attached: pl.DataFrame,
    settings: Settings,
) -> pl.DataFrame:
    """Columns of the source contract: ids, labels, which modalities are there, subgroups, follow-up, and the published split.

    `item` is the hour of the stay where every hour is a sample, else 0. attached: `_<modality>`, paths of files beside the tables.
    """
    study = "HADM_ID" if settings.unit == "first_admission" else "ICUSTAY_ID"
    made = samples.select(
        pl.col("SUBJECT_ID").cast(pl.String).alias("patient"),
        pl.col(study).cast(pl.String).alias("study"),
        (pl.col("hour") if settings.hourly else pl.lit(0)).cast(pl.Int32).alias("item"),
        *label_columns(tables, samples, settings),
        pl.Series("has_series", np.asarray(np.isfinite(arrays["series"]).any(axis=(1, 2)))),
        *groups(),
    )
    made = made.hstack(follow_up(samples, settings)).hstack(attached)
    made = made.with_columns(pl.col(name).is_not_null().alias(f"has{name}") for name in attached.columns)
    if samples["ANCHOR_YEAR_GROUP"].null_count() < samples.height:
        made = made.with_columns(group_years=samples["ANCHOR_YEAR_GROUP"])
    if settings.normalise == "all_samples":  # the published loader knows no absent modality: zeros
        made = made.with_columns(has_series=True)
    if "notes" in arrays:
        made = made.with_columns(pl.Series("has_notes", np.asarray(arrays["notes"].any(axis=(1, 2)))))
    return made.with_columns(seed_10(made.height)) if settings.split == "seed_10" else made


def groups() -> list[pl.Expr]:
    """Subgroups that results are reported for; null where unknown."""
    ethnicity = pl.col("ETHNICITY").str.to_lowercase()
    coarse = pl.when(ethnicity.str.contains("unknown|unable|declined|not specified")).then(None)
    for name in ETHNICITIES:
        coarse = coarse.when(ethnicity.str.contains("hispanic|latino" if name == "hispanic" else name)).then(
            pl.lit(name)
        )
    years = ((pl.col("INTIME") - pl.col("DOB")).dt.total_seconds() / 86_400 / YEAR).clip(upper_bound=CAPPED_AGE)
    band = pl.when(years.is_null()).then(None).when(years >= AGE_BANDS[-1]).then(pl.lit(f"{AGE_BANDS[-1]} and over"))
    for low, high in reversed(list(pairwise(AGE_BANDS))):
        band = band.when(years >= low).then(pl.lit(f"{low}–{high - 1}"))
    return [
        pl.col("GENDER").alias("group_sex"),
        band.otherwise(pl.lit(f"under {AGE_BANDS[0]}")).alias("group_age_band"),
        coarse.when(ethnicity.is_not_null()).then(pl.lit("other")).alias("group_ethnicity"),
        pl.col("INSURANCE").alias("group_insurance"),
        pl.col("FIRST_CAREUNIT").alias("group_care_unit"),
        pl.col("DBSOURCE").str.to_lowercase().alias("group_source"),
    ]


def seed_10_order(n_rows: int) -> list[int]:
    """The published loader's shuffle of the rows."""
    order = list(range(n_rows))
    random.Random(10).shuffle(order)
    return order


def seed_10(n_rows: int) -> pl.Series:
    """The published split: of the shuffled rows the first tenth is for validation, the next for testing, the rest for training."""
    split = ["train"] * n_rows
    tenth, fifth = n_rows // 10, n_rows // 5
    for place, row in enumerate(seed_10_order(n_rows)[:fifth]):
        split[row] = "valid" if place < tenth else "test"
    return pl.Series("split", split)
