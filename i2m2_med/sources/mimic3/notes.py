"""Notes that were there by the end of the window, cut into chunks."""

from collections import Counter
from datetime import timedelta
from typing import Any

import polars as pl

from i2m2_med.sources.mimic3.settings import Notes, Settings
from i2m2_med.sources.text.chunks import chunked

OUTCOME_WORDS = (
    "expired",
    "passed away",
    "cmo",
    "comfort measures",
    "autopsy",
    "time of death",
    "organ donation",
)


def available_at() -> pl.Expr:
    """When a note could be read: the later of CHARTTIME and STORETIME; without CHARTTIME not before CHARTDATE is over."""
    timed = pl.max_horizontal("CHARTTIME", "STORETIME")
    dated = pl.max_horizontal(pl.col("CHARTDATE") + timedelta(days=1), pl.col("STORETIME"))
    return pl.when(pl.col("CHARTTIME").is_not_null()).then(timed).when(pl.col("CHARTDATE").is_not_null()).then(dated)


def readable(
    table: pl.LazyFrame, samples: pl.DataFrame, settings: Notes, window_hours: int
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """(notes: `row`, `hours` after hour 0, `text`, in order of time; how many were left out, by reason).

    samples: `row`, SUBJECT_ID, HADM_ID, ADMITTIME, `origin`. A note without HADM_ID counts if written since this admission began.
    """
    allowed = [category.strip().lower() for category in settings.categories]
    own = (pl.col("HADM_ID") == pl.col("admission")) | (
        pl.col("HADM_ID").is_null() & (pl.col("at") >= pl.col("ADMITTIME"))
    )
    reasons = {
        "of another admission": own.fill_null(False),
        "marked as error": ~pl.col("ISERROR"),
        "category not allowed": pl.col("CATEGORY").str.strip_chars().str.to_lowercase().is_in(allowed).fill_null(False),
        "no time": pl.col("at").is_not_null(),
        "after the window": (pl.col("at") <= pl.col("origin") + pl.duration(hours=window_hours)).fill_null(False),
        "empty": pl.col("TEXT").str.strip_chars().str.len_chars().fill_null(0) > 0,
    }
    who = samples.lazy().select("row", "SUBJECT_ID", "ADMITTIME", "origin", admission="HADM_ID")
    joined = table.with_columns(at=available_at()).join(who, on="SUBJECT_ID")
    failed = pl.coalesce(pl.when(~rule).then(pl.lit(reason)) for reason, rule in reasons.items()).alias("why")
    out = joined.select(failed).drop_nulls().group_by("why").len().collect(engine="streaming")
    kept = joined.filter(*reasons.values()).select(
        "row",
        "CATEGORY",
        day=pl.coalesce("CHARTDATE", pl.col("CHARTTIME").dt.truncate("1d")),
        hours=(pl.col("at") - pl.col("origin")).dt.total_seconds() / 3600,
        text="TEXT",
    )
    notes = kept.collect(engine="streaming").sort("row", "hours", "text")
    alone = without_repeats(notes)
    counts = {"left out: " + why: n for why, n in sorted(out.iter_rows())}
    counts["left out: repeated by another (addenda)"] = notes.height - alone.height
    return alone, {"kept": alone.height, **{why: n for why, n in counts.items() if n}}


def without_repeats(notes: pl.DataFrame) -> pl.DataFrame:
    """Drop notes whose whole text another note of the same stay, day and category holds too (an addendum repeats its report)."""
    flat = pl.col("text").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    numbered = notes.with_columns(flat=flat).with_row_index("number")
    drop: set[int] = set()
    for _, group in numbered.filter(pl.len().over("row", "day", "CATEGORY") > 1).group_by("row", "day", "CATEGORY"):
        entries = list(zip(group["number"], group["flat"], strict=True))
        for number, text in entries:
            longer = (other for place, other in entries if (len(other), -place) > (len(text), -number))
            if any(text in other for other in longer):
                drop.add(number)
    return notes.filter(~numbered["number"].is_in(list(drop)))


def outcome_words(notes: pl.DataFrame) -> dict[str, int]:
    """In how many kept notes each outcome word stands: reported, not removed."""
    text = notes["text"].str.to_lowercase()
    counts = {word: int(text.str.contains(rf"\b{word}\b").sum()) for word in OUTCOME_WORDS}
    return {word: n for word, n in counts.items() if n}


def read_notes(table: pl.LazyFrame, samples: pl.DataFrame, settings: Settings) -> tuple[pl.DataFrame, dict[str, Any]]:
    """(chunks with their text; what was kept, left out and found). `row` is that of `samples`."""
    assert settings.notes is not None
    kept, counts = readable(table, samples, settings.notes, settings.window_hours)
    long = Counter(length > 1_000_000 for length in kept["text"].str.len_chars().to_list())
    damaged = int(kept["text"].str.contains("\ufffd", literal=True).sum())
    text_audit = {"outcome_words": outcome_words(kept), "over 1 MB": long[True], "with damaged characters": damaged}
    return chunked(kept, settings.notes), {**counts, **text_audit}
