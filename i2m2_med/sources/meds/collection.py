"""When a laboratory value's blood was drawn, in data sets that put the result at the time it was stored (MIMIC_IV_MEDS).

They write an event of collection (`LAB//SPECIMEN_COLLECTED//ITEM`) and one of the result, and nothing that ties the two. The k-th
collection of an item in an admission belongs to its k-th result, where there are as many of both and none precedes its
collection; elsewhere the time of the result stands, and how often is said.
"""

import polars as pl

from i2m2_med.sources.meds import codes

KEYS = ["SUBJECT_ID", "HADM_ID", "ITEMID"]


def with_collection(results: pl.LazyFrame, events: pl.LazyFrame) -> tuple[pl.LazyFrame, list[str]]:
    """(LABEVENTS with CHARTTIME of the collection and STORETIME of the result, remarks); as they are without such events."""
    item = pl.col("code").str.extract(rf"^{codes.COLLECTED}(\d+)(?:/|$)").cast(pl.Int64, strict=False)
    collected = events.filter(pl.col("code").str.starts_with(codes.COLLECTED)).select(
        pl.col("subject_id").alias("SUBJECT_ID"), pl.col("hadm_id").alias("HADM_ID"), item.alias("ITEMID"), drawn="time"
    )
    if not collected.head(1).collect().height:
        return results, []
    paired = ranked(results, "CHARTTIME").join(
        ranked(collected, "drawn"), on=[*KEYS, "rank", "count"], how="left", nulls_equal=True, maintain_order="left"
    )
    fits = (pl.col("drawn") <= pl.col("CHARTTIME")).fill_null(False).all().over(KEYS)
    timed = paired.with_columns(
        STORETIME=pl.coalesce("STORETIME", "CHARTTIME"), CHARTTIME=pl.when(fits).then("drawn").otherwise("CHARTTIME")
    )
    unpaired = paired.select((~fits).sum(), pl.len()).collect(engine="streaming").row(0)
    remark = f"{unpaired[0]:,} of {unpaired[1]:,} laboratory values stand at the time of their result: when their blood was drawn can't be told."
    return timed.drop("rank", "count", "drawn"), [remark] if unpaired[0] else []


def ranked(rows: pl.LazyFrame, time: str) -> pl.LazyFrame:
    """Rows with `rank` (by time, ties in their order) and `count` among those of the same subject, admission and item."""
    rank = pl.int_range(pl.len()).over(KEYS)
    return rows.sort(time, maintain_order=True).with_columns(rank=rank, count=pl.len().over(KEYS))
