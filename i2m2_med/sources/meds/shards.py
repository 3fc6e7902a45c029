"""The files of a MEDS data set → one lazy table of events in known types."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from i2m2_med.errors import SourceError
from i2m2_med.sources.meds import codes

KINDS: dict[str, Any] = {
    "subject_id": pl.Int64,
    "time": pl.Datetime("us"),
    "code": pl.String,
    "numeric_value": pl.Float64,
    "text_value": pl.String,
    **dict.fromkeys(codes.IDS, pl.Int64),
    **dict.fromkeys(codes.TEXTS, pl.String),
    codes.WARD: pl.Int64,
    codes.STORED: pl.Datetime("us"),
    "unit": pl.String,
}
REQUIRED = ("subject_id", "time", "code")
OTHER_NAMES = {
    "hadm_id": ("visit_id", "patienthealthsystemstayid"),
    "icustay_id": ("unit_stay_id", "patientunitstayid"),
}


MADE_UP = "i2m2.simulated"
"""The key that our export writes into the metadata of a shard of simulated events."""


def is_simulated(path: Path) -> bool:
    """Whether a shard says of itself that its events are simulated."""
    return MADE_UP.encode() in (pq.read_schema(path).metadata or {})


def data_files(root: Path) -> list[Path]:
    """The shards of a MEDS data set. Raises SourceError where there are none."""
    files = sorted((root / "data").rglob("*.parquet"))
    if not files:
        raise SourceError(f"{root} holds no data/*.parquet; it should be a MEDS data set")
    return files


def events_of(files: list[Path], required: tuple[str, ...] = (*REQUIRED, *codes.IDS)) -> pl.LazyFrame:
    """All events, columns in one type. Raises SourceError for a column of `required` that is missing."""
    return pl.concat([shard(path, required) for path in files])


def shard(path: Path, required: tuple[str, ...]) -> pl.LazyFrame:
    """One file's events; columns that it lacks and that are not required are null."""
    try:
        lazy = pl.scan_parquet(path)
        schema = lazy.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{path.name} is no Parquet file ({type(error).__name__}); copy it again") from error
    written = {name: next((n for n in (name, *OTHER_NAMES.get(name, ())) if n in schema), name) for name in KINDS}
    missing = [name for name in required if written[name] not in schema]
    if missing:
        raise SourceError(
            f"{path.name} lacks {', '.join(missing)}; MEDS events of a hospital need subject_id, time, code, and say "
            f"which admission (hadm_id) and ICU stay (icustay_id) they belong to"
        )
    refuse_other_types(path, {name: schema[column] for name, column in written.items() if column in schema})
    return lazy.select(typed(written[name], kind, schema).alias(name) for name, kind in KINDS.items())


def refuse_other_types(path: Path, kinds: Mapping[str, Any]) -> None:
    """Raise SourceError for a column whose type is none that MEDS has there: cast, it would be lost without a word."""
    fits = {"time": kinds["time"].is_temporal(), "subject_id": kinds["subject_id"].is_integer()}
    fits |= {name: kinds[name].is_numeric() for name in ("numeric_value", *codes.IDS) if name in kinds}
    wrong = [f"{name} is {kinds[name]}" for name, right in fits.items() if not right and kinds[name] != pl.Null]
    if wrong:
        raise SourceError(
            f"{path.name}: {', '.join(wrong)}; MEDS has time as a timestamp, numbers as numbers, and subject_id, hadm_id and "
            "icustay_id as whole numbers"
        )


def typed(column: str, kind: Any, schema: Mapping[str, Any]) -> pl.Expr:
    """A column in its type, null where the file lacks it. A float32 is read as the shortest decimal that it stands for: 98.6 was
    written as 98.5999985 and is 98.6 again, as in the tables."""
    if column not in schema:
        return pl.lit(None, kind)
    if schema[column] == pl.Float32 and kind == pl.Float64:
        return pl.col(column).cast(pl.String).cast(pl.Float64, strict=False)
    return pl.col(column).cast(kind, strict=False)
