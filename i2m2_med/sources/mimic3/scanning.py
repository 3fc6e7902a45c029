"""A file of a table (csv, csv.gz or Parquet, either case) → its kept columns as text or as they are, lazily; damage is refused."""

import csv
import gzip
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from i2m2_med.errors import SourceError
from i2m2_med.sources.mimic3.mimic4_columns import MADE_OF, made_columns
from i2m2_med.sources.mimic3.tables import Table

TAIL = 1 << 20
DAMAGE = ("corrupt", "unexpected end", "end-of-stream", "eof", "deflate", "gzip", "truncated", "crc")


IDENTIFIERS = ("SUBJECT_ID", "HADM_ID", "ICUSTAY_ID", "STAY_ID", "ROW_ID", "LABEVENT_ID")


def scan(path: Path, name: str, table: Table, as_text: bool) -> tuple[pl.LazyFrame, list[str]]:
    """(the kept columns, upper case, null where an optional one is not there; the names of those).

    as_text: identifiers of an event table as text; else as whole numbers, and reading raises ComputeError where one is none.
    """
    if path.suffix == ".parquet":
        lazy = pl.scan_parquet(path)
        there = lazy.collect_schema().names()
    else:
        there = header_of(path)
        refuse_cut(path, len(there))
        numbers: dict[str, Any] = dict.fromkeys(IDENTIFIERS, pl.Int64) | {"ITEMID": pl.Int32}
        as_numbers = numbers if table.by_item and not as_text else {}
        kinds = {column: as_numbers.get(column.strip().upper(), pl.String) for column in there}
        lazy = pl.scan_csv(path, schema=kinds, encoding="utf8-lossy")
    by_upper = {column.strip().upper(): column for column in there}
    if len(by_upper) < len(there):
        twice = sorted({c.strip().upper() for c in there if by_upper[c.strip().upper()] != c})
        raise SourceError(f"{path.name} has the column {', '.join(twice)} more than once; keep one of them")
    made = made_columns(name, by_upper)
    absent = [column for column in table.optional if column not in by_upper and column not in made]
    missing = [c for c in table.columns if c not in by_upper and c not in made and c not in absent]
    if missing:
        named = [f"{column} (in MIMIC-IV {MADE_OF[column]})" if column in MADE_OF else column for column in missing]
        raise SourceError(
            f"{path.name} lacks the column{'s' * (len(missing) > 1)} {', '.join(named)} (it has {', '.join(there[:20])}); "
            f"export {name} again from the release"
        )
    known = {column: pl.col(written) for column, written in by_upper.items()} | made
    known |= {column: pl.lit(None, pl.String) for column in absent}
    return lazy.select(known[column].alias(column) for column in table.columns), absent


def columns_of(path: Path) -> set[str]:
    """A table's columns in small letters. Raises SourceError, or pyarrow's errors for what is no Parquet file."""
    names = pq.read_schema(path).names if path.suffix == ".parquet" else header_of(path)
    return {name.strip().lower() for name in names}


def header_of(path: Path) -> list[str]:
    """The column names in a csv's first line. Raises SourceError where it is empty, another format, or split by something else."""
    try:
        with open_text(path) as file:
            line = file.readline()
    except (OSError, EOFError) as error:
        raise unreadable(path, error) from error
    if "\x00" in line and "\x00" in line.replace("\x00", "", 1):
        raise SourceError(f"{path.name} is not UTF-8 (UTF-16, it seems); export it again as UTF-8")
    if line.endswith("\r"):
        raise SourceError(f"{path.name} ends its lines with a carriage return alone; export it again with line feeds")
    names = next(csv.reader([line.lstrip("\ufeff").rstrip("\r\n")]), [])
    if not names or not line.strip():
        raise SourceError(f"{path.name} is empty; a table has at least its header")
    other = [delimiter for delimiter in (";", "\t", "|") if len(names) == 1 and delimiter in line]
    if other:
        raise SourceError(
            f"{path.name} is delimited by {other[0]!r}, not by a comma; export it again as comma-separated"
        )
    return names


def refuse_cut(path: Path, n_columns: int) -> None:
    """Raise SourceError where a plain csv stops within its last line. (A gzip that is cut says so itself.)"""
    if path.suffix == ".gz":
        return
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL))
        tail = file.read()
    last = tail[tail.rfind(b"\n") + 1 :].decode("utf-8", "replace")
    cells = len(next(csv.reader([last]), []))
    if last.strip() and cells < n_columns:
        raise SourceError(
            f"{path.name} looks truncated: its last line has {cells} of {n_columns} cells; copy or download it again"
        )


def open_text(path: Path) -> TextIOWrapper:
    """A csv or csv.gz as text; bytes that are no UTF-8 become U+FFFD."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="")
    return path.open(encoding="utf-8", errors="replace", newline="")


def unreadable(path: Path, error: Exception) -> SourceError:
    """One clear line for what polars or gzip says; never a cell's text."""
    message = str(error).lower()
    if any(word in message for word in DAMAGE):
        return SourceError(f"{path.name} ends in the middle or is damaged (broken gzip); copy or download it again")
    if "more fields" in message or "fields than" in message:
        return SourceError(
            f"{path.name} has lines with more cells than its header; export it again as comma-separated, quoted"
        )
    return SourceError(
        f"{path.name} can't be read as a table ({type(error).__name__}); export it again from the release"
    )
