"""The Glasgow coma score as the paper's views add it up."""

import polars as pl

HOURS_BACK = 6


def coma_score(charted: pl.DataFrame) -> pl.DataFrame:
    """`row`, `seconds`, `concept` = gcs, `value` 3…15 from eye, motor and verbal response.

    A component not charted at a moment is the one charted just before, if within 6 h, else normal (4, 6, 5). An intubated
    patient (verbal 0) counts as 15, now or just before; after extubation earlier components don't count (gen_gcs_ts.sql).
    """
    parts = {"gcs_eye": 4, "gcs_motor": 6, "gcs_verbal": 5}
    base = (
        charted.filter(pl.col("concept").is_in(list(parts)))
        .group_by("row", "stay", "seconds")
        .agg(pl.col("value").filter(pl.col("concept") == part).max().alias(part) for part in parts)
        .sort("stay", "seconds")
    )
    recent = pl.col("seconds").shift(1).over("stay") > pl.col("seconds") - HOURS_BACK * 3600
    base = base.with_columns(
        pl.when(recent).then(pl.col(part).shift(1).over("stay")).alias(f"{part}_before") for part in parts
    )
    verbal, before = pl.col("gcs_verbal"), pl.col("gcs_verbal_before")
    fresh = sum((pl.col(part).fill_null(normal) for part, normal in parts.items()), pl.lit(0.0))
    carried = sum(
        (pl.coalesce(part, f"{part}_before").fill_null(normal) for part, normal in parts.items()), pl.lit(0.0)
    )
    intubated = (verbal == 0) | (verbal.is_null() & (before == 0))
    score = pl.when(intubated).then(15.0).when(before == 0).then(fresh).otherwise(carried)
    scored = base.with_columns(value=score).group_by("row", "seconds").agg(pl.col("value").max())
    return scored.with_columns(concept=pl.lit("gcs"))
