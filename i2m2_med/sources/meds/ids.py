"""Admissions and ICU stays of data sets whose events don't say which they belong to: by subject and time.

Where no event has `hadm_id`, a subject is one admission. Where ICU admissions have no `icustay_id`, they are numbered in order of time;
an ICU discharge without one ends the stay that began last before it.
"""

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.meds import codes

MOST_STAYS = 1000


def with_ids(events: pl.LazyFrame) -> tuple[pl.LazyFrame, list[str]]:
    """(events with `hadm_id` and, of ICU admissions and discharges, `icustay_id`; remarks). Raises SourceError where several
    admissions of a subject can't be told apart."""
    known = events.select(pl.col("hadm_id").is_not_null().any()).collect(engine="streaming").item()
    remarks: list[str] = []
    if not known:
        refuse_several(events)
        events = events.with_columns(hadm_id="subject_id")
        remarks.append("No event says its admission: each subject is read as one.")
    starts = pl.col("code").str.starts_with(codes.ICU_IN)
    ends = pl.col("code").str.starts_with(codes.ICU_OUT)
    moves = events.filter(starts | ends).sort("subject_id", "time", maintain_order=True).collect(engine="streaming")
    if moves.filter(starts)["icustay_id"].null_count():
        rank = pl.col("time").rank("dense").over("subject_id").cast(pl.Int64)
        begun = moves.filter(starts).with_columns(
            icustay_id=pl.coalesce("icustay_id", pl.col("subject_id") * MOST_STAYS + rank)
        )
        remarks.append("ICU stays without an identifier are numbered in order of time.")
    else:
        begun = moves.filter(starts)
    last = begun.select("subject_id", "time", stay="icustay_id").sort("time")
    ended = moves.filter(ends).sort("time").join_asof(last, on="time", by="subject_id", check_sortedness=False)
    ended = ended.with_columns(icustay_id=pl.coalesce("icustay_id", "stay")).drop("stay")
    columns = events.collect_schema().names()
    return pl.concat(
        [events.filter(~(starts | ends)), begun.select(columns).lazy(), ended.select(columns).lazy()]
    ), remarks


def refuse_several(events: pl.LazyFrame) -> None:
    """Raise SourceError for subjects admitted at several times."""
    admitted = events.filter(pl.col("code").str.starts_with(codes.ADMISSION)).group_by("subject_id")
    several = admitted.agg(pl.col("time").n_unique()).filter(pl.col("time") > 1).select(pl.len())
    count = several.collect(engine="streaming").item()
    if count:
        raise SourceError(
            f"{count:,} subjects have several admissions, and no event says which it belongs to; add the column hadm_id"
        )
