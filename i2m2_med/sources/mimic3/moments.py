"""Values at one moment: since when each could be known, which of several counts, and of what blood it is."""

from collections.abc import Sequence

import polars as pl

from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.source import Flow

AT_ONE_MOMENT = ["row", "stay", "concept", "seconds"]
ADDED_UP = ("urine", "specimen")
"""Concepts of which several at one moment all count."""


def known_in_time(charted: pl.DataFrame, first: pl.DataFrame | None, settings: Settings, flow: Flow) -> pl.DataFrame:
    """Without values that were charted within the input but stored only after it ended: nobody could have read them in time.

    first: `row`, `first`, the second of hour 0 (None: the ICU admission). A value without a time of storing counts from when it
    was charted.
    """
    begun = charted.join(first, on="row", how="left", maintain_order="left") if first is not None else charted
    start = pl.lit(0, pl.Int64) if first is None else pl.col("first").fill_null(0)
    end = start + settings.window_hours * 3600
    late = begun.select(((pl.col("seconds") <= end) & (pl.col("stored") > end)).fill_null(False)).to_series()
    kept = charted.filter(~late)
    flow.audits["stored after the input"] = {
        "values": charted.height - kept.height,
        "samples": charted.filter(late)["row"].n_unique(),
    }
    return kept


def once_per_moment(charted: pl.DataFrame, keys: Sequence[str] = AT_ONE_MOMENT) -> pl.DataFrame:
    """One value per stay, concept and moment (all `keys`): of several the one stored last, else (or if several were) their median.

    A row that stands there twice (same item, value, time of storing) counts once: not every table has a ROW_ID to tell.
    """
    several = charted.select(keys).is_duplicated() & ~charted["concept"].is_in(ADDED_UP)
    if not several.any():
        return charted
    latest = (pl.col("stored") == pl.col("stored").max()) | pl.col("stored").is_null().all()
    distinct = charted.filter(several).unique([*keys, "ITEMID", "value", "stored"], maintain_order=True)
    chosen = distinct.group_by(keys).agg(
        pl.col("value").filter(latest).median(), pl.col("stored").max(), pl.col("ITEMID").first()
    )
    return pl.concat([charted.filter(~several), chosen.select(charted.columns)])


def with_arterial_saturation(charted: pl.DataFrame) -> pl.DataFrame:
    """Laboratory saturations (`so2`) as `spo2` where their sample is called arterial; others, and the calls themselves, are left
    out: a mixed-venous saturation is no SpO2."""
    called = (
        charted.filter(pl.col("concept") == "specimen")
        .group_by("row", "stay", "seconds")
        .agg(pl.col("value").min().alias("arterial"))
    )
    joined = charted.join(called, on=["row", "stay", "seconds"], how="left", maintain_order="left")
    of_lab = pl.col("concept") == "so2"
    kept = joined.filter((pl.col("concept") != "specimen") & (~of_lab | (pl.col("arterial") == 1)))
    renamed = pl.when(of_lab).then(pl.lit("spo2", kept.schema["concept"])).otherwise(pl.col("concept"))
    return kept.with_columns(concept=renamed).select(charted.columns)
