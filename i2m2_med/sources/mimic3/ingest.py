"""Tables as they come (csv.gz, csv or Parquet, either case) → typed, filtered Parquet, once, in one streaming pass each.

What is kept lies in the shared cache folder as `NAME-<key>.parquet`, its counts beside it as JSON; the key is the content of
the file and what was asked of it, so a finished table is never read twice and a changed one never reused.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from i2m2_med.errors import SourceError
from i2m2_med.files import digest, existing_folder, replace_file, sha256_of, write_json
from i2m2_med.sources.cells.column import CellReader
from i2m2_med.sources.cells.empties import IN_TYPED
from i2m2_med.sources.cells.forms import form_of
from i2m2_med.sources.mimic3.folders import modules
from i2m2_med.sources.mimic3.items import all_item_ids, word_items
from i2m2_med.sources.mimic3.scanning import columns_of, scan, unreadable
from i2m2_med.sources.mimic3.tables import Table, table_named
from i2m2_med.sources.source import Progress

ENDINGS = (".csv.gz", ".csv", ".parquet")
ROW_GROUP = 100_000
DUPLICATE_BUCKET = 2_000_000  # rows whose ids are held against each other at once: bounds memory at full size
VERSION = 6
"""Of the conversion: tables of another are not used again."""


@dataclass(frozen=True)
class Ingested:
    """One table in the cache."""

    path: Path
    counts: dict[str, Any]
    """rows_read, rows_kept, headers (repeated header lines left out), absent (optional columns that the file lacks),
    columns {column: report of `cells.Column`}, unreadable {column: cells}, duplicates, reused_ids."""

    def scan(self) -> pl.LazyFrame:
        """The typed table, lazily."""
        return pl.scan_parquet(self.path)


@dataclass
class CellTally:
    """Counts over all rows of a file. Appended to from polars' threads: an append is whole, an addition is not."""

    rows: list[int] = field(default_factory=list[int])
    no_item: list[int] = field(default_factory=list[int])
    forms: list[str] = field(default_factory=list[str])
    headers: list[int] = field(default_factory=list[int])
    strays: list[bool] = field(default_factory=list[bool])
    """Whether a batch has another column's name in a column of ids: from there on the columns are in another order."""


def find_table(root: Path, name: str, folders: Collection[str] = ()) -> Path | None:
    """The file of a table in `root` (or in the folders of it that are named), in either case and any of the formats; None where
    there is none."""
    existing_folder(root, "it should hold the tables (PATIENTS.csv.gz, …)")
    wanted = {name.lower() + ending: ending for ending in ENDINGS}
    files = [
        path for folder in modules(root, folders) for path in sorted(folder.iterdir()) if path.name.lower() in wanted
    ]
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        raise SourceError(f"{root} holds {name} more than once ({names}); keep one of them")
    return files[0] if files else None


def is_simulated(path: Path) -> bool:
    """Whether the table has the column that simulators mark theirs with."""
    return "simulated" in columns_of(path)


def ingest_table(path: Path, name: str, cache: Path, progress: Progress) -> Ingested:
    """The typed Parquet of one table: from the cache, or made now.

    Raises SourceError for a missing column, a truncated gzip, another delimiter, or a file that is no table.
    """
    table = table_named(name)
    items = all_item_ids(name) if table.by_item else []
    key = digest([VERSION, sha256_of(path), {c: str(t) for c, t in table.schema.items()}, items])[:16]
    kept, counted = cache / f"{name}-{key}.parquet", cache / f"{name}-{key}.json"
    if not (kept.exists() and counted.exists()):
        progress.say(f"reading {path.name}")
        counts = convert(path, name, table, items, kept)
        write_json(counted, counts)
    return Ingested(kept, json.loads(counted.read_text(encoding="utf-8")))


def convert(path: Path, name: str, table: Table, items: list[int], out: Path) -> dict[str, Any]:
    """One pass: read, keep mapped items, type, write `out` whole or not at all; returns the counts.

    Identifiers of event tables are read as whole numbers first; a file where some are none is read again, with them as text.
    """
    try:
        with replace_file(out) as beside:
            try:
                counts = one_pass(path, name, table, items, beside, as_text=False)
            except pl.exceptions.ComputeError:  # some identifier is no whole number; whatever else it is comes up again
                counts = None
            if counts is None or counts["no_item"]:
                counts = one_pass(path, name, table, items, beside, as_text=True)
            counts |= drop_duplicates(beside) if "ROW_ID" in table.columns else {"duplicates": 0, "reused_ids": 0}
            rows_kept = pl.scan_parquet(beside).select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError, EOFError) as error:
        raise unreadable(path, error) from error
    return counts | {"rows_kept": rows_kept}


def one_pass(path: Path, name: str, table: Table, items: list[int], out: Path, *, as_text: bool) -> dict[str, Any]:
    """Read the file from first line to last into `out`; returns what was counted on the way."""
    tally = CellTally()
    plain, absent = scan(path, name, table, as_text)
    if items:
        whole = not as_text and plain.collect_schema()["ITEMID"].is_integer()
        plain = plain if whole else plain.with_columns(_item=pl.col("ITEMID").cast(pl.String), ITEMID=item_numbers())
    counted = plain.map_batches(lambda rows: tick(rows, tally, bool(items)), predicate_pushdown=False, streamable=True)
    mapped = pl.col("ITEMID").is_in(items) if items else pl.lit(True)
    columns = {
        column: CellReader(column, kind, lambda of: plain.filter(mapped).select(pl.col(of).cast(pl.String)))
        for column, kind in table.columns.items()
    }
    kept = counted.filter(mapped).drop("_item", strict=False) if items else counted
    batches = kept.collect_batches(chunk_size=ROW_GROUP, maintain_order=True)
    rows = batches if items else (without_headers(batch, table, tally) for batch in batches)
    write(rows, name, table, out, columns)
    if any(tally.strays):
        raise SourceError(
            f"{path.name} was put together from files whose columns are in different orders; export it again as one"
        )
    reports = {column: read.report() for column, read in columns.items()}
    if items:
        reports["ITEMID"] |= {"cells": sum(tally.rows), "unreadable": sum(tally.no_item)}
        reports["ITEMID"] |= {"form": tally.forms[0]} if tally.forms else {}
    return {
        "rows_read": sum(tally.rows) - sum(tally.headers),
        "no_item": sum(tally.no_item),
        "headers": sum(tally.headers),
        "absent": absent,
        "columns": {column: report for column, report in reports.items() if worth_keeping(report)},
        "unreadable": {column: report["unreadable"] for column, report in reports.items() if report["unreadable"]},
    }


def worth_keeping(report: dict[str, Any]) -> bool:
    """Whether a column's report says more than how many cells it has."""
    return bool(report["unreadable"] or report["dates"] or report["zones"])


def item_numbers() -> pl.Expr:
    """ITEMID from text or a float: "223761.0" is how pandas writes a number beside missing ones."""
    text = pl.col("ITEMID").cast(pl.String).str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    whole = pl.when(number == number.floor()).then(number.cast(pl.Int32, strict=False))
    return pl.coalesce(text.cast(pl.Int32, strict=False), whole)


def tick(rows: pl.DataFrame, tally: CellTally, by_item: bool) -> pl.DataFrame:
    """Count a batch of all rows, and those whose item can't be read; drop the text that tells why."""
    tally.rows.append(rows.height)
    if "_item" in rows.columns:
        text = rows["_item"].str.strip_chars()
        header = text.str.to_uppercase().is_in(["ITEMID"]).fill_null(False)
        tally.strays.append(other_header(text, "ITEMID", rows.columns))
        lost = text.filter(rows["ITEMID"].is_null() & ~text.is_in(IN_TYPED).fill_null(True) & ~header)
        tally.headers.append(int(header.sum()))
        tally.no_item.append(lost.len())
        tally.forms.extend(form_of(cell) for cell in lost.head(1))
        return rows
    tally.no_item.append(rows["ITEMID"].null_count() if by_item else 0)
    return rows


def without_headers(batch: pl.DataFrame, table: Table, tally: CellTally) -> pl.DataFrame:
    """A batch without header lines, which stand inside a file that was put together from several."""
    key = batch["SUBJECT_ID"]
    if key.dtype != pl.String:
        return batch
    upper = key.str.to_uppercase()
    header = upper.is_in(["SUBJECT_ID"]).fill_null(False)
    tally.strays.append(other_header(upper, "SUBJECT_ID", [*table.columns]))
    tally.headers.append(int(header.sum()))
    return batch.filter(~header) if header.any() else batch


def other_header(cells: pl.Series, own: str, columns: list[str]) -> bool:
    """Whether another column's name stands in a column of ids."""
    return bool(cells.is_in([column for column in columns if column not in (own, "_item")]).any())


def write(rows: Iterator[pl.DataFrame], name: str, table: Table, out: Path, columns: dict[str, CellReader]) -> None:
    """Type the rows batch by batch into row groups of a Parquet file."""
    worded = word_items(name) if table.columns.get("VALUE") == pl.String else []
    views = pl.CompatLevel.newest()  # texts go over as polars holds them: copying them took a seventh of the time
    empty = pl.DataFrame(schema=table.schema).to_arrow(compat_level=views)
    texts = [column for column, kind in table.columns.items() if kind == pl.String]
    packing: dict[str, Any] = {"compression": "lz4", "use_dictionary": texts, "write_statistics": False}
    with pq.ParquetWriter(out, empty.schema, **packing) as file:
        for batch in rows:
            typed = pl.DataFrame([columns[column].read(batch[column]).alias(column) for column in table.columns])
            for column in table.given:
                text = batch[column].cast(pl.String).str.strip_chars()
                typed = typed.with_columns(pl.Series(f"{column}_GIVEN", ~text.is_in(IN_TYPED).fill_null(True)))
            if worded:
                typed = typed.with_columns(pl.when(pl.col("ITEMID").is_in(worded)).then("VALUE"))
            file.write_table(typed.to_arrow(compat_level=views), row_group_size=ROW_GROUP)


def drop_duplicates(path: Path) -> dict[str, int]:
    """Drop rows that stand there before under the same ROW_ID; returns `duplicates`, how many were dropped, and `reused_ids`,
    rows that share a ROW_ID with a different one and stay. Ids are compared bucket by bucket."""
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
    if distinct == rows:
        return {"duplicates": 0, "reused_ids": 0}
    whole = pl.read_parquet(path)
    first = (
        whole.is_unique()
        | whole["ROW_ID"].is_null()
        | whole.select(pl.struct(pl.all()).is_first_distinct()).to_series()
    )
    kept = whole.filter(first)
    kept.write_parquet(path, row_group_size=1_000_000)
    return {"duplicates": whole.height - kept.height, "reused_ids": rows - distinct - (whole.height - kept.height)}
