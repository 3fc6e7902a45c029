"""MEDS events → tables in MIMIC's columns, as Parquet, so that one pipeline reads both."""

from pathlib import Path

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.meds import codes
from i2m2_med.sources.mimic3.items import all_item_ids

TEXTS = {"code": pl.String, "text_value": pl.String, "insurance": pl.String, "race": pl.String}
NUMBERS = {"subject_id": pl.Int64, "numeric_value": pl.Float64, "hadm_id": pl.Int64, "icustay_id": pl.Int64}
REQUIRED = ("subject_id", "time", "code", "hadm_id", "icustay_id")


def data_files(root: Path) -> list[Path]:
    """The shards of a MEDS data set. Raises SourceError where there are none."""
    files = sorted((root / "data").rglob("*.parquet"))
    if not files:
        raise SourceError(f"{root} holds no data/*.parquet; it should be a MEDS data set")
    return files


def events_of(files: list[Path]) -> pl.LazyFrame:
    """All events, columns in one type. Raises SourceError for a column that is missing."""
    return pl.concat([shard(path) for path in files])


def shard(path: Path) -> pl.LazyFrame:
    """One file's events; optional columns that it lacks are null."""
    try:
        lazy = pl.scan_parquet(path)
        there = lazy.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{path.name} is no Parquet file ({type(error).__name__}); copy it again") from error
    missing = [column for column in REQUIRED if column not in there]
    if missing:
        raise SourceError(
            f"{path.name} lacks {', '.join(missing)}; MEDS events of a hospital need subject_id, time, code, and say "
            f"which admission (hadm_id) and ICU stay (icustay_id) they belong to"
        )
    typed = [
        (pl.col(name).cast(kind, strict=False) if name in there else pl.lit(None, kind).alias(name))
        for name, kind in {**TEXTS, **NUMBERS}.items()
    ]
    stored = pl.col(codes.STORED) if codes.STORED in there else pl.lit(None, pl.Datetime("us"))
    return lazy.select(
        pl.col("time").cast(pl.Datetime("us")), stored.cast(pl.Datetime("us")).alias(codes.STORED), *typed
    )


def write_tables(files: list[Path], folder: Path) -> None:
    """`NAME.parquet` of every table that the pipeline reads, into `folder`."""
    events = events_of(files)
    small = {
        "PATIENTS": patients(events),
        "ADMISSIONS": admissions(events),
        "ICUSTAYS": icustays(events),
        "SERVICES": of(events, codes.SERVICE, "CURR_SERVICE", "TRANSFERTIME"),
        "DIAGNOSES_ICD": diagnoses(events),
        "NOTEEVENTS": notes(events),
    }
    for name, table in small.items():
        table.sink_parquet(folder / f"{name}.parquet")
    for name in ("CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS"):
        measured(events, name).sink_parquet(folder / f"{name}.parquet", row_group_size=1_000_000)
    if not pl.scan_parquet(folder / "ICUSTAYS.parquet").select(pl.len()).collect().item():
        raise SourceError(f"no event of the MEDS data set has a code {codes.ICU_IN}…; there is no ICU stay in it")


def of(events: pl.LazyFrame, prefix: str, rest: str, time: str) -> pl.LazyFrame:
    """Events of one kind: ids, `time`, and what follows the prefix as `rest`."""
    return events.filter(pl.col("code").str.starts_with(prefix)).select(
        pl.col("subject_id").alias("SUBJECT_ID"),
        pl.col("hadm_id").alias("HADM_ID"),
        pl.col("icustay_id").alias("ICUSTAY_ID"),
        pl.col("time").alias(time),
        unless_unknown(pl.col("code").str.strip_prefix(prefix)).alias(rest),
        "insurance",
        "race",
        "text_value",
    )


def unless_unknown(text: pl.Expr) -> pl.Expr:
    """Null where the text says that nothing is known."""
    return pl.when(text != codes.UNKNOWN).then(text)


def patients(events: pl.LazyFrame) -> pl.LazyFrame:
    """PATIENTS; the date of death without its hour, as in MIMIC."""
    gender = pl.col("code").filter(pl.col("code").str.starts_with(codes.GENDER)).first()
    return (
        events.filter(pl.col("code").is_in([codes.BIRTH, codes.DEATH]) | pl.col("code").str.starts_with(codes.GENDER))
        .group_by("subject_id")
        .agg(
            GENDER=gender.str.strip_prefix(codes.GENDER),
            DOB=pl.col("time").filter(pl.col("code") == codes.BIRTH).min(),
            DOD=pl.col("time").filter(pl.col("code") == codes.DEATH).min().dt.truncate("1d"),
        )
        .rename({"subject_id": "SUBJECT_ID"})
        .sort("SUBJECT_ID")
    )


def admissions(events: pl.LazyFrame) -> pl.LazyFrame:
    """ADMISSIONS; who is discharged as dead died in hospital, at the time of MEDS_DEATH where that has an hour."""
    began = of(events, codes.ADMISSION, "kind", "ADMITTIME").with_columns(
        ADMISSION_TYPE=pl.col("kind").str.split("//").list.first()
    )
    ended = of(events, codes.DISCHARGE, "place", "DISCHTIME").select("HADM_ID", "DISCHTIME", "place")
    death = events.filter(pl.col("code") == codes.DEATH).group_by("subject_id").agg(pl.col("time").min().alias("died"))
    died = pl.col("place").str.contains(codes.SAYS_DIED).fill_null(False)
    has_hour = pl.col("died") != pl.col("died").dt.truncate("1d")
    joined = began.join(ended, on="HADM_ID", how="left").join(
        death, left_on="SUBJECT_ID", right_on="subject_id", how="left"
    )
    return joined.select(
        "SUBJECT_ID",
        "HADM_ID",
        "ADMITTIME",
        "DISCHTIME",
        pl.when(died & has_hour).then("died").alias("DEATHTIME"),
        "ADMISSION_TYPE",
        pl.col("insurance").alias("INSURANCE"),
        pl.col("race").alias("ETHNICITY"),
        died.cast(pl.Int64).alias("HOSPITAL_EXPIRE_FLAG"),
    ).sort("SUBJECT_ID", "ADMITTIME")


def icustays(events: pl.LazyFrame) -> pl.LazyFrame:
    """ICUSTAYS; MEDS knows no ward, so all are the same, and no database."""
    ended = of(events, codes.ICU_OUT, "LAST_CAREUNIT", "OUTTIME").select("ICUSTAY_ID", "LAST_CAREUNIT", "OUTTIME")
    began = of(events, codes.ICU_IN, "FIRST_CAREUNIT", "INTIME").drop("insurance", "race", "text_value")
    return (
        began.join(ended, on="ICUSTAY_ID", how="left")
        .with_columns(DBSOURCE=pl.lit(None, pl.String), FIRST_WARDID=pl.lit(0), LAST_WARDID=pl.lit(0))
        .sort("SUBJECT_ID", "INTIME")
    )


def diagnoses(events: pl.LazyFrame) -> pl.LazyFrame:
    """DIAGNOSES_ICD, ICD-9 only, in the order of the events."""
    rows = of(events, codes.DIAGNOSIS, "ICD9_CODE", "time").select("SUBJECT_ID", "HADM_ID", "ICD9_CODE")
    return rows.with_columns(SEQ_NUM=pl.int_range(1, pl.len() + 1).over("HADM_ID"))


def notes(events: pl.LazyFrame) -> pl.LazyFrame:
    """NOTEEVENTS; the time of a note is when it could be read."""
    return of(events, codes.NOTE, "CATEGORY", "CHARTTIME").select(
        pl.lit(None, pl.Int64).alias("ROW_ID"),
        "SUBJECT_ID",
        "HADM_ID",
        pl.col("CHARTTIME").dt.truncate("1d").alias("CHARTDATE"),
        "CHARTTIME",
        pl.col("CHARTTIME").alias("STORETIME"),
        "CATEGORY",
        pl.lit(None, pl.String).alias("DESCRIPTION"),
        pl.lit(None, pl.String).alias("ISERROR"),
        pl.col("text_value").alias("TEXT"),
    )


def measured(events: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """One of the three event tables: the mapped items in it. MEDS holds no row that was marked as an error."""
    start = codes.OUTPUT if name == "OUTPUTEVENTS" else f"{codes.CHARTED}(?:RESULT//)?"
    item = pl.col("code").str.extract(rf"^{start}(\d+)(?://|$)").cast(pl.Int64, strict=False)
    unit = unless_unknown(pl.col("code").str.extract(rf"^{start}\d+//(.*)$"))
    output = name == "OUTPUTEVENTS"
    return (
        events.filter(pl.col("code").str.starts_with(codes.OUTPUT if output else codes.CHARTED))
        .with_columns(ITEMID=item)
        .filter(pl.col("ITEMID").is_in(all_item_ids(name)))
        .select(
            pl.lit(None, pl.Int64).alias("ROW_ID"),
            pl.col("subject_id").alias("SUBJECT_ID"),
            pl.col("hadm_id").alias("HADM_ID"),
            pl.col("icustay_id").alias("ICUSTAY_ID"),
            "ITEMID",
            pl.col("time").alias("CHARTTIME"),
            pl.col(codes.STORED).alias("STORETIME"),
            pl.col("numeric_value").alias("VALUE") if output else pl.col("text_value").alias("VALUE"),
            pl.col("numeric_value").alias("VALUENUM"),
            unit.alias("VALUEUOM"),
            pl.lit(None, pl.String).alias("ISERROR" if output else "ERROR"),
        )
    )
