"""A MIMIC cohort → a MEDS data set: events of its subjects, labels, splits, and what the codes mean.

It holds patients' data under their own identifiers, as the tables do, and belongs where they may be.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import i2m2_med
from i2m2_med.files import write_json
from i2m2_med.sources.meds import codes
from i2m2_med.sources.meds.shards import KINDS, MADE_UP
from i2m2_med.sources.mimic3.folders import THREE
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.items import read_items
from i2m2_med.sources.mimic3.notes import available_at
from i2m2_med.sources.mimic3.tables import FOUR_NOTES
from i2m2_med.sources.source import Labels

SHARD_SUBJECTS = 2000
MEDS_VERSION = "0.4.1"
COLUMNS = {**KINDS, "numeric_value": pl.Float32}
del COLUMNS["unit"]  # part of the code
SCHEMA = pa.schema(
    {
        "subject_id": pa.int64(),
        "time": pa.timestamp("us"),
        "code": pa.string(),
        "numeric_value": pa.float32(),
        "text_value": pa.large_string(),
        **dict.fromkeys(codes.IDS, pa.int64()),
        **dict.fromkeys(codes.TEXTS, pa.string()),
        codes.WARD: pa.int64(),
        codes.STORED: pa.timestamp("us"),
    }
)
"""As MEDS's schema has it to the letter: its validator takes no other kind of string."""


def write_meds(
    folder: Path,
    tables: dict[str, Ingested],
    records: pl.DataFrame,
    gap_hours: float,
    labels: Labels,
    release: str = THREE,
    *,
    simulated: bool = False,
) -> dict[str, int]:
    """Write the data set into an empty folder; returns how many events, subjects and labels it holds.

    records: of `mimic3.Source.ingest`, with `split`: their subjects are written, with all that the tables keep of them. simulated: the tables are; every file says so.
    """
    mark = {MADE_UP: "true"} if simulated else None
    events = pl.concat(list(events_of(tables)), how="diagonal").select(
        pl.col(name).cast(kind) if name in COLUMNS else name for name, kind in COLUMNS.items()
    )
    subjects = records.select(pl.col("patient").cast(pl.Int64).alias("subject_id"), "split").unique().sort("subject_id")
    counts = {"events": 0, "subjects": subjects.height}
    seen: set[str] = set()
    for split, name in codes.SPLITS.items():
        own = subjects.filter(pl.col("split") == split)["subject_id"]
        for number, start in enumerate(range(0, len(own), SHARD_SUBJECTS)):
            shard = events.filter(pl.col("subject_id").is_in(own[start : start + SHARD_SUBJECTS].implode())).collect()
            shard = shard.sort("subject_id", "time", nulls_last=False, maintain_order=True)
            path = folder / "data" / name / f"{number}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(shard.to_arrow().cast(SCHEMA.with_metadata(mark)), path)
            counts["events"] += shard.height
            seen |= set(shard["code"].unique())
    (folder / "metadata").mkdir()
    write_strict(subjects.with_columns(pl.col("split").replace_strict(codes.SPLITS)), folder / codes.SPLITS_FILE)
    write_strict(code_table(sorted(seen)), folder / "metadata" / "codes.parquet")
    write_json(folder / "metadata" / "dataset.json", metadata(f"simulated {release}" if simulated else release))
    counts["labels"] = write_labels(folder, tables, records, gap_hours, labels)
    return counts


def write_strict(table: pl.DataFrame, path: Path) -> None:
    """A table as Parquet with pyarrow's plain strings."""
    arrow = table.to_arrow()
    plain = {pa.large_string(): pa.string(), pa.large_list(pa.large_string()): pa.list_(pa.string())}
    pq.write_table(
        arrow.cast(pa.schema([field.with_type(plain.get(field.type, field.type)) for field in arrow.schema])), path
    )


def metadata(release: str) -> dict[str, object]:
    """`dataset.json` of a cohort of a release."""
    return {
        "dataset_name": f"{release} cohort",
        "etl_name": "i2m2-med",
        "etl_version": i2m2_med.__version__,
        "meds_version": MEDS_VERSION,
        "raw_source_id_columns": list(codes.IDS),
        "other_extension_columns": list(codes.EXTRA),
    }


def events_of(tables: dict[str, Ingested]) -> Iterator[pl.LazyFrame]:
    """Events of every table, lazily; rows marked as errors, and measurements without a time, are left out."""
    yield from events_of_patients(tables["PATIENTS"].scan(), tables["ADMISSIONS"].scan())
    yield from events_of_admissions(tables["ADMISSIONS"].scan())
    stays = tables["ICUSTAYS"].scan()
    source, first, last = (pl.col(name) for name in ("DBSOURCE", "FIRST_WARDID", "LAST_WARDID"))
    yield event(stays, "INTIME", known(codes.ICU_IN, "FIRST_CAREUNIT"), dbsource=source, ward=first)
    yield event(stays, "OUTTIME", known(codes.ICU_OUT, "LAST_CAREUNIT"), ward=last)
    yield event(tables["SERVICES"].scan(), "TRANSFERTIME", known(codes.SERVICE, "CURR_SERVICE"))
    ended = tables["ADMISSIONS"].scan().select("HADM_ID", "DISCHTIME")
    for name, prefix in {"ICD9_CODE": codes.DIAGNOSIS, "ICD10_CODE": codes.DIAGNOSIS10}.items():
        coded = tables["DIAGNOSES_ICD"].scan().drop_nulls(name).sort("HADM_ID", "SEQ_NUM")
        yield event(coded.join(ended, on="HADM_ID"), "DISCHTIME", known(prefix, name))
    for name, prefix in {"CHARTEVENTS": codes.CHARTED, "LABEVENTS": codes.RESULT, "OUTPUTEVENTS": codes.OUTPUT}.items():
        yield measurements(tables[name].scan(), prefix)
    for name in [name for name in ("NOTEEVENTS", *FOUR_NOTES) if name in tables]:
        sound = tables[name].scan().filter(~pl.col("ISERROR")).with_columns(at=available_at())
        category = known(codes.NOTE, pl.col("CATEGORY").str.strip_chars())
        yield event(sound, "at", category, text_value=pl.col("TEXT"))


def event(rows: pl.LazyFrame, time: str, code: pl.Expr, **values: pl.Expr) -> pl.LazyFrame:
    """Rows of a table as events at `time`, those without it left out."""
    there = rows.collect_schema().names()
    ids = [pl.col(name.upper()).alias(name) for name in ("subject_id", *codes.IDS) if name.upper() in there]
    return rows.filter(pl.col(time).is_not_null()).select(
        *ids, pl.col(time).alias("time"), code.alias("code"), **values
    )


def known(prefix: str, column: str | pl.Expr) -> pl.Expr:
    """A code of a prefix and what a column says, UNK where it says nothing."""
    text = pl.col(column) if isinstance(column, str) else column
    return pl.concat_str(pl.lit(prefix), text.fill_null(codes.UNKNOWN))


def events_of_patients(patients: pl.LazyFrame, admissions: pl.LazyFrame) -> Iterator[pl.LazyFrame]:
    """Sex, birth, and death: in hospital to the minute where that is known (with its admission), else the date, else without a time."""
    yield event(patients, "DOB", pl.lit(codes.BIRTH))
    yield patients.select(
        pl.col("SUBJECT_ID").alias("subject_id"),
        pl.lit(None, pl.Datetime("us")).alias("time"),
        known(codes.GENDER, "GENDER").alias("code"),
    )
    dead = pl.col("DEATHTIME_GIVEN") | (pl.col("HOSPITAL_EXPIRE_FLAG") == 1).fill_null(False)
    at = pl.col("DEATHTIME")
    in_hospital = admissions.group_by("SUBJECT_ID").agg(
        at.min(), pl.col("HADM_ID").sort_by(at, nulls_last=True).first().alias("of"), dead.any().alias("dead")
    )
    known_dead = pl.col("dead").fill_null(False) | pl.col("DOD_GIVEN") | (pl.col("EXPIRE_FLAG") == 1).fill_null(False)
    yield (
        patients.join(in_hospital, on="SUBJECT_ID", how="left")
        .filter(known_dead)
        .select(
            pl.col("SUBJECT_ID").alias("subject_id"),
            pl.coalesce(at, "DOD").alias("time"),
            pl.lit(codes.DEATH).alias("code"),
            pl.when(at.is_not_null()).then("of").alias("hadm_id"),
        )
    )


def events_of_admissions(admissions: pl.LazyFrame) -> Iterator[pl.LazyFrame]:
    """Admission, with insurance and ethnicity, and discharge, alive or not."""
    yield event(
        admissions,
        "ADMITTIME",
        known(codes.ADMISSION, "ADMISSION_TYPE"),
        insurance=pl.col("INSURANCE"),
        race=pl.col("ETHNICITY"),
    )
    flag = pl.col("HOSPITAL_EXPIRE_FLAG")
    died = pl.when(flag == 1).then(pl.lit(codes.DIED)).when(flag == 0).then(pl.lit(codes.ALIVE))
    yield event(admissions, "DISCHTIME", known(codes.DISCHARGE, died))


def measurements(rows: pl.LazyFrame, prefix: str) -> pl.LazyFrame:
    """Charted, laboratory or output rows as events."""
    there = rows.collect_schema().names()
    mark = next((name for name in ("ERROR", "ISERROR") if name in there), None)
    sound = rows if mark is None else rows.filter(~pl.col(mark))
    unit = pl.col("VALUEUOM").fill_null(codes.UNKNOWN)
    code = pl.concat_str(pl.lit(prefix), pl.col("ITEMID").cast(pl.String), pl.lit("//"), unit)
    output = prefix == codes.OUTPUT
    number = pl.col("VALUE" if output else "VALUENUM")
    text = pl.lit(None, pl.String) if output else pl.col("VALUE")
    return event(sound, "CHARTTIME", code, numeric_value=number, text_value=text, storetime=pl.col("STORETIME"))


def code_table(seen: list[str]) -> pl.DataFrame:
    """`codes.parquet`: every code that stands in the data, items with their label."""
    labels = read_items().unique("item", keep="first").select(pl.col("item"), description=pl.col("label"))
    item = pl.col("code").str.extract(rf"^(?:{codes.RESULT}|{codes.CHARTED}|{codes.OUTPUT})(\d+)(?://|$)")
    named = pl.DataFrame({"code": seen}, schema={"code": pl.String}).with_columns(item=item.cast(pl.Int64))
    return named.join(labels, on="item", how="left", maintain_order="left").select(
        "code", "description", pl.lit(None, pl.List(pl.String)).alias("parent_codes")
    )


def write_labels(
    folder: Path, tables: dict[str, Ingested], records: pl.DataFrame, gap_hours: float, labels: Labels
) -> int:
    """`labels/<label>.parquet` per label, at the prediction time: yes or no, or the class number and name; unknown ones left out."""
    ids = ("ICUSTAY_ID", "HADM_ID")
    began = tables["ICUSTAYS"].scan().select(*ids, "INTIME").collect()
    starts = pl.concat([began.select(study=pl.col(name).cast(pl.String), start="INTIME") for name in ids])
    first = starts.group_by("study").agg(pl.col("start").min())
    end = pl.col("start") + pl.duration(seconds=(pl.col("_input_hours") * 3600).cast(pl.Int64))
    timed = records.join(first, on="study", how="left").with_columns(time=end + timedelta(hours=gap_hours))
    written = 0
    for label in labels.names:
        truth = pl.col(f"label_{label}")
        yes_or_no = len(labels.classes) == 2
        numbered = {
            "integer_value": truth.cast(pl.Int64),
            "categorical_value": truth.replace_strict(dict(enumerate(labels.classes)), default=None),
        }
        values = {"boolean_value": truth == 1} if yes_or_no else numbered
        rows = timed.filter(truth >= 0).select(
            pl.col("patient").cast(pl.Int64).alias("subject_id"), pl.col("time").alias("prediction_time"), **values
        )
        path = folder / "labels" / f"{label}.parquet"
        path.parent.mkdir(exist_ok=True)
        write_strict(rows.sort("subject_id", "prediction_time"), path)
        written += rows.height
    return written
