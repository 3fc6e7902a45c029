"""Tables as they come (csv.gz, csv or Parquet, either case) → typed, filtered Parquet, once, in one streaming pass each.

What is kept lies in the shared cache folder as `NAME-<key>.parquet`, its counts beside it as JSON; the key is the content of
the file and what was asked of it, so a finished table is never read twice and a changed one never reused.
"""

import csv
import gzip
import json
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from i2m2_med.errors import SourceError
from i2m2_med.files import digest, existing_folder, replace_file, sha256_of, write_json
from i2m2_med.sources.mimic3.items import all_item_ids, word_items
from i2m2_med.sources.mimic3.mimic4 import folders_of, made_columns
from i2m2_med.sources.mimic3.tables import TABLES, Table
from i2m2_med.sources.source import Progress

ENDINGS = (".csv.gz", ".csv", ".parquet")
ROW_GROUP = 500_000
DUPLICATE_BUCKET = 8_000_000  # rows whose ids are held against each other at once: bounds memory at full size


@dataclass(frozen=True)
class Ingested:
    """One table in the cache."""

    path: Path
    counts: dict[str, Any]
    """rows_read, rows_kept, unreadable {column: cells}, duplicates."""

    def scan(self) -> pl.LazyFrame:
        """The typed table, lazily."""
        return pl.scan_parquet(self.path)


def find_table(root: Path, name: str) -> Path | None:
    """The file of a table in `root` (MIMIC-IV: in `hosp` or `icu`), in either case and any of the formats; None where there is none."""
    existing_folder(root, "it should hold the MIMIC-III tables (PATIENTS.csv.gz, …)")
    wanted = {name.lower() + ending: ending for ending in ENDINGS}
    found = [path for folder in folders_of(root) for path in sorted(folder.iterdir()) if path.name.lower() in wanted]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise SourceError(f"{root} holds {name} more than once ({names}); keep one of them")
    return found[0] if found else None


def ingest_table(path: Path, name: str, cache: Path, progress: Progress) -> Ingested:
    """The typed Parquet of one table: from the cache, or made now.

    Raises SourceError for a missing column, a truncated gzip, another delimiter, or a file that is no table.
    """
    table = TABLES[name]
    items = all_item_ids(name) if table.by_item else []
    key = digest([4, sha256_of(path), {c: str(t) for c, t in table.columns.items()}, items])[:16]
    kept, counted = cache / f"{name}-{key}.parquet", cache / f"{name}-{key}.json"
    if not (kept.exists() and counted.exists()):
        progress.say(f"reading {path.name}")
        counts = convert(path, name, table, items, kept)
        write_json(counted, counts)
    return Ingested(kept, json.loads(counted.read_text()))


def convert(path: Path, name: str, table: Table, items: list[int], out: Path) -> dict[str, Any]:
    """One pass: read, keep mapped items, type, write `out` whole or not at all; returns the counts."""
    read: list[tuple[int, int]] = []  # appended to from polars' threads: an append is whole, an addition is not
    lost = dict.fromkeys(table.columns, 0)

    def tick(rows: pl.DataFrame) -> pl.DataFrame:
        read.append((rows.height, rows["ITEMID"].null_count() if items else 0))
        return rows

    try:
        raw = scan(path, name, table).map_batches(tick, predicate_pushdown=False, streamable=True)
        raw = raw.filter(pl.col("ITEMID").is_in(items)) if items else raw
        with replace_file(out) as beside:
            write(raw, name, table, beside, lost)
            duplicates = drop_duplicates(beside) if "ROW_ID" in table.columns else 0
            rows_kept = pl.scan_parquet(beside).select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError, EOFError) as error:
        raise unreadable(path, error) from error
    return {
        "rows_read": sum(rows for rows, _ in read),
        "rows_kept": rows_kept,
        "no_item": sum(nulls for _, nulls in read),
        "unreadable": {column: cells for column, cells in lost.items() if cells},
        "duplicates": duplicates,
    }


def write(raw: pl.LazyFrame, name: str, table: Table, out: Path, lost: dict[str, int]) -> None:
    """Type the rows batch by batch into row groups of a Parquet file; cells that can't be read are counted in `lost`."""
    worded = word_items(name) if table.columns.get("VALUE") == pl.String else []
    empty = pl.DataFrame(schema=table.columns).to_arrow()
    texts = [column for column, kind in table.columns.items() if kind == pl.String]
    packing: dict[str, Any] = {"compression": "lz4", "use_dictionary": texts, "write_statistics": False}
    with pq.ParquetWriter(out, empty.schema, **packing) as file:
        for batch in raw.collect_batches(chunk_size=ROW_GROUP, maintain_order=True):
            typed = pl.DataFrame([as_type(batch[column], kind) for column, kind in table.columns.items()])
            for column in table.columns:
                lost[column] += max(0, typed[column].null_count() - batch[column].null_count())
            if worded:
                typed = typed.with_columns(pl.when(pl.col("ITEMID").is_in(worded)).then("VALUE"))
            file.write_table(typed.to_arrow(), row_group_size=ROW_GROUP)


def scan(path: Path, name: str, table: Table) -> pl.LazyFrame:
    """The kept columns of a file, upper case, as text (csv) or as they are (Parquet), lazily."""
    if path.suffix == ".parquet":
        lazy = pl.scan_parquet(path)
        there = lazy.collect_schema().names()
    else:
        there = header_of(path)
        kinds: dict[str, Any] = {c: pl.Int32 if table.by_item and c.upper() == "ITEMID" else pl.String for c in there}
        lazy = pl.scan_csv(path, schema=kinds, encoding="utf8-lossy", ignore_errors=table.by_item)
    by_upper = {column.upper(): column for column in there}
    made = made_columns(name, by_upper)
    missing = [column for column in table.columns if column not in by_upper and column not in made]
    if missing:
        raise SourceError(
            f"{path.name} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)} (it has {', '.join(there[:20])}); "
            f"export {name} again from MIMIC-III 1.4"
        )
    known = {column: pl.col(written) for column, written in by_upper.items()} | made
    return lazy.select(known[column].alias(column) for column in table.columns)


def header_of(path: Path) -> list[str]:
    """The column names in a csv's first line. Raises SourceError where it is empty, another format, or split by something else."""
    try:
        with open_text(path) as file:
            line = file.readline()
    except (OSError, EOFError) as error:
        raise unreadable(path, error) from error
    names = next(csv.reader([line.lstrip("\ufeff").rstrip("\r\n")]), [])
    if not names or not line.strip():
        raise SourceError(f"{path.name} is empty; a table has at least its header")
    other = [delimiter for delimiter in (";", "\t", "|") if len(names) == 1 and delimiter in line]
    if other:
        raise SourceError(
            f"{path.name} is delimited by {other[0]!r}, not by a comma; export it again as comma-separated"
        )
    return names


def open_text(path: Path) -> TextIOWrapper:
    """A csv or csv.gz as text; bytes that are no UTF-8 become U+FFFD."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="")
    return path.open(encoding="utf-8", errors="replace", newline="")


def as_type(cells: pl.Series, want: Any) -> pl.Series:
    """A column in its type; what can't be read as that is null (and counted by the caller)."""
    if want == pl.Boolean:
        return cells.cast(pl.String).str.strip_chars().is_in(["1", "1.0", "true"]).fill_null(False)
    if cells.dtype == pl.String and want == pl.Datetime:
        typed = cells.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
        others = (
            cells.str.to_date("%Y-%m-%d", strict=False).cast(want) if typed.null_count() > cells.null_count() else None
        )
    else:
        typed = cells.cast(want, strict=False)
        # "126179.0" is how pandas writes an id beside missing ones
        whole = cells.dtype == pl.String and want == pl.Int64 and typed.null_count() > cells.null_count()
        others = cells.cast(pl.Float64, strict=False).cast(want, strict=False) if whole else None
    return typed if others is None else typed.fill_null(others)


def drop_duplicates(path: Path) -> int:
    """Keep the first row of every ROW_ID; returns how many were dropped. Ids are compared bucket by bucket."""
    ids = pl.scan_parquet(path).select("ROW_ID").filter(pl.col("ROW_ID").is_not_null())
    rows = ids.select(pl.len()).collect(engine="streaming").item()
    buckets = rows // DUPLICATE_BUCKET + 1
    distinct = sum(
        ids.filter(pl.col("ROW_ID") % buckets == bucket)
        .select(pl.col("ROW_ID").n_unique())
        .collect(engine="streaming")
        .item()
        for bucket in range(buckets)
    )
    if distinct < rows:
        whole = pl.read_parquet(path)
        repeated = whole["ROW_ID"].is_first_distinct() | whole["ROW_ID"].is_null()
        whole.filter(repeated).write_parquet(path, row_group_size=1_000_000)
    return rows - distinct


def unreadable(path: Path, error: Exception) -> SourceError:
    """One clear line for what polars or gzip says; never a cell's text."""
    said = str(error).lower()
    if any(
        word in said
        for word in ("corrupt", "unexpected end", "end-of-stream", "eof", "deflate", "gzip", "truncated", "crc")
    ):
        return SourceError(f"{path.name} ends in the middle or is damaged (broken gzip); copy or download it again")
    if "more fields" in said or "fields than" in said:
        return SourceError(
            f"{path.name} has lines with more cells than its header; export it again as comma-separated, quoted"
        )
    return SourceError(
        f"{path.name} can't be read as a table ({type(error).__name__}); export it again from MIMIC-III 1.4"
    )
