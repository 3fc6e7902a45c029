"""MEDS events → tables in MIMIC's columns, as Parquet, so that one pipeline reads both. What the events don't say is null."""

from pathlib import Path

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.files import write_json
from i2m2_med.sources.meds import codes
from i2m2_med.sources.meds.collection import with_collection
from i2m2_med.sources.meds.ids import with_ids
from i2m2_med.sources.meds.mapping import read_mapping
from i2m2_med.sources.meds.shards import REQUIRED, events_of
from i2m2_med.sources.meds.translation import translate, write_translated
from i2m2_med.sources.mimic3.items import all_item_ids

REMARKS, EVENTS_FILE = "remarks.json", "events.parquet"


def write_tables(files: list[Path], folder: Path, mapping: Path | None = None) -> None:
    """`NAME.parquet` of every table that the pipeline reads, and `remarks.json` (`remarks`: sentences; `called`: by item, the
    hospital's codes), into `folder`. mapping: the table of a hospital's own codes."""
    if mapping is None:
        events, remarks, called = events_of(files), [], {}
    else:
        events, remarks, called = hospital_events(files, mapping, folder / EVENTS_FILE)
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
    if not pl.scan_parquet(folder / "ICUSTAYS.parquet").select(pl.len()).collect().item():
        raise SourceError(
            f"no event of the MEDS data set has a code {codes.ICU_IN}…; there is no ICU stay in it "
            "(meds_etl writes none: convert MIMIC-IV by MIMIC_IV_MEDS)"
        )
    for name in codes.MEASURED:
        table = measured(events, name)
        if name == "LABEVENTS":
            table, collection_remarks = with_collection(table, events)
            remarks += collection_remarks
        table.sink_parquet(folder / f"{name}.parquet", row_group_size=1_000_000)
    write_json(folder / REMARKS, {"remarks": remarks + absent(folder), "called": called})
    (folder / EVENTS_FILE).unlink(missing_ok=True)


def hospital_events(
    files: list[Path], mapping: Path, out: Path
) -> tuple[pl.LazyFrame, list[str], dict[int, list[str]]]:
    """(events under the codes that are read, remarks, the hospital's codes by item); written to `out` on the way."""
    raw = events_of(files, REQUIRED)
    made = translate(raw, read_mapping(mapping), mapping.name)
    events, remarks = with_ids(write_translated(raw, made.table, out))
    return events, made.remarks + remarks, made.called


def absent(folder: Path) -> list[str]:
    """Return the remarks on the tables that the data set has no row for."""
    empty = {
        "SERVICES": "services: the type of admission is unknown",
        "DIAGNOSES_ICD": "ICD codes: comorbidities and labels by ICD group are unknown",
    }
    rows = {name: pl.scan_parquet(folder / f"{name}.parquet").select(pl.len()).collect().item() for name in empty}
    return [f"The MEDS data set holds no {what}." for name, what in empty.items() if not rows[name]]


def of(events: pl.LazyFrame, prefix: str, rest: str, time: str) -> pl.LazyFrame:
    """Events of one kind: ids, `time`, and what follows the prefix (in either conversion's spelling) as `rest`."""
    prefixes = [prefix, codes.ALSO[prefix]] if prefix in codes.ALSO else [prefix]
    code = pl.col("code")
    after = pl.coalesce(pl.when(code.str.starts_with(each)).then(code.str.strip_prefix(each)) for each in prefixes)
    return events.filter(pl.any_horizontal(code.str.starts_with(each) for each in prefixes)).select(
        pl.col("subject_id").alias("SUBJECT_ID"),
        pl.col("hadm_id").alias("HADM_ID"),
        pl.col("icustay_id").alias("ICUSTAY_ID"),
        pl.col("time").alias(time),
        unless_unknown(after).alias(rest),
        *codes.TEXTS,
        codes.WARD,
        "text_value",
    )


def unless_unknown(text: pl.Expr) -> pl.Expr:
    """Null where the text says that nothing is known."""
    return pl.when(text != codes.UNKNOWN).then(text)


def patients(events: pl.LazyFrame) -> pl.LazyFrame:
    """PATIENTS; the date of death without its hour, as in MIMIC, and whether a death is known at all."""
    gender = of(events, codes.GENDER, "GENDER", "time").group_by("SUBJECT_ID").agg(pl.col("GENDER").first())
    own = pl.col("code").is_in([codes.BIRTH, codes.DEATH])
    everybody = events.select(pl.col("subject_id").alias("SUBJECT_ID")).unique()
    dates = (
        events.filter(own)
        .group_by(pl.col("subject_id").alias("SUBJECT_ID"))
        .agg(
            DOB=pl.col("time").filter(pl.col("code") == codes.BIRTH).min(),
            DOD=pl.col("time").filter(pl.col("code") == codes.DEATH).min().dt.truncate("1d"),
            EXPIRE_FLAG=(pl.col("code") == codes.DEATH).any().cast(pl.Int64),
        )
    )
    joined = everybody.join(gender, on="SUBJECT_ID", how="left").join(dates, on="SUBJECT_ID", how="left")
    return joined.filter(pl.col("GENDER").is_not_null() | pl.col("DOB").is_not_null()).sort("SUBJECT_ID")


def admissions(events: pl.LazyFrame) -> pl.LazyFrame:
    """ADMISSIONS; who is discharged as dead died in hospital, at the time of MEDS_DEATH where that has an hour (or an admission). Where the place of
    discharge is unknown, a death up to it says so; without a discharge nothing is known."""
    began = of(events, codes.ADMISSION, "kind", "ADMITTIME").with_columns(
        ADMISSION_TYPE=pl.col("kind").str.split("//").list.first()
    )
    ended = of(events, codes.DISCHARGE, "place", "DISCHTIME").select("HADM_ID", "DISCHTIME", "place")
    death = (
        events.filter(pl.col("code") == codes.DEATH)
        .group_by("subject_id")
        .agg(pl.col("time").min().alias("died"), pl.col("hadm_id").is_not_null().any().alias("exact"))
    )
    events_of_own = {
        name: of(events, prefix, f"{name}_event", "time")
        .select("HADM_ID", f"{name}_event")
        .unique("HADM_ID", keep="first")
        for name, prefix in {"insurance": codes.INSURANCE, "race": codes.RACE}.items()
    }
    joined = began.join(ended.unique("HADM_ID", keep="first"), on="HADM_ID", how="left").join(
        death, left_on="SUBJECT_ID", right_on="subject_id", how="left"
    )
    for frame in events_of_own.values():
        joined = joined.join(frame, on="HADM_ID", how="left")
    before = (pl.col("died").dt.truncate("1d") <= pl.col("DISCHTIME")).fill_null(False)
    died = pl.coalesce(pl.col("place").str.contains(codes.SAYS_DIED), before)
    has_hour = pl.col("exact") | (pl.col("died") != pl.col("died").dt.truncate("1d"))
    return joined.select(
        "SUBJECT_ID",
        "HADM_ID",
        "ADMITTIME",
        "DISCHTIME",
        pl.when(died & has_hour).then("died").alias("DEATHTIME"),
        "ADMISSION_TYPE",
        pl.coalesce("insurance", "insurance_event").alias("INSURANCE"),
        pl.coalesce("race", "race_event").alias("ETHNICITY"),
        pl.when(pl.col("DISCHTIME").is_not_null()).then(died.cast(pl.Int64)).alias("HOSPITAL_EXPIRE_FLAG"),
    ).sort("SUBJECT_ID", "ADMITTIME")


def icustays(events: pl.LazyFrame) -> pl.LazyFrame:
    """ICUSTAYS; wards and database only where our own columns say them."""
    ended = of(events, codes.ICU_OUT, "LAST_CAREUNIT", "OUTTIME").select(
        "ICUSTAY_ID", "LAST_CAREUNIT", "OUTTIME", LAST_WARDID=codes.WARD
    )
    began = of(events, codes.ICU_IN, "FIRST_CAREUNIT", "INTIME").select(
        "SUBJECT_ID", "HADM_ID", "ICUSTAY_ID", "FIRST_CAREUNIT", "INTIME", FIRST_WARDID=codes.WARD, DBSOURCE="dbsource"
    )
    return began.join(ended.unique("ICUSTAY_ID", keep="first"), on="ICUSTAY_ID", how="left").sort(
        "SUBJECT_ID", "INTIME"
    )


def diagnoses(events: pl.LazyFrame) -> pl.LazyFrame:
    """DIAGNOSES_ICD: ICD-9, then ICD-10, each in the order of the events."""
    systems = {"ICD9_CODE": codes.DIAGNOSIS, "ICD10_CODE": codes.DIAGNOSIS10}
    of_each = [
        of(events, prefix, name, "time").select("SUBJECT_ID", "HADM_ID", name) for name, prefix in systems.items()
    ]
    rows = pl.concat(of_each, how="diagonal")
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
    start = codes.MEASURED[name]
    code = pl.col("code")
    item = code.str.extract(rf"{start}(\d+)(?:/|$)").cast(pl.Int64, strict=False)
    unit = pl.coalesce(unless_unknown(code.str.extract(rf"{start}\d+//(.*)$")), "unit")
    stored = code.str.starts_with(codes.ITEM) | code.str.starts_with(codes.LABITEM)
    output = name == "OUTPUTEVENTS"
    return (
        events.filter(code.str.contains(start))
        .with_columns(ITEMID=item)
        .filter(pl.col("ITEMID").is_in(all_item_ids(name)))
        .select(
            pl.lit(None, pl.Int64).alias("ROW_ID"),
            pl.col("subject_id").alias("SUBJECT_ID"),
            pl.col("hadm_id").alias("HADM_ID"),
            pl.col("icustay_id").alias("ICUSTAY_ID"),
            "ITEMID",
            pl.col("time").alias("CHARTTIME"),
            pl.coalesce(codes.STORED, pl.when(stored).then("time")).alias("STORETIME"),
            pl.col("numeric_value").alias("VALUE") if output else pl.col("text_value").alias("VALUE"),
            pl.col("numeric_value").alias("VALUENUM"),
            unit.alias("VALUEUOM"),
            pl.lit(None, pl.String).alias("ISERROR" if output else "ERROR"),
        )
    )
