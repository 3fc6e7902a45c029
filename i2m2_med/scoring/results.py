"""The output folder: `studies/<study>.json` as each study is done, then `scores.parquet` and `scores.csv` from them.

`extras/<study>/` holds what was asked for beside the rows. Names of studies stand in these two folders only, each of which holds
one kind of thing, so that no study's name can be another's file, or a table.

Every file is written in the scorer's private folder (`.score/…`) and renamed into its place, so a killed scorer leaves whole
files only; what lies in the private folder is thrown away by the next one.
"""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from i2m2_med.disk_errors import writing
from i2m2_med.errors import SourceError, UserError
from i2m2_med.predictions import column_names, optional_names, polars_schema

PARQUET, CSV = "scores.parquet", "scores.csv"
STUDIES, EXTRAS = "studies", "extras"
ROWS_AT_ONCE = 20_000
ABOUT = ("warning", "model", "config_sha", "seconds", "status", "error")
RISKY = ("=", "+", "-", "@", "\t", "\r", "|", "%")
"""How a cell begins that a spreadsheet takes for a formula."""


@dataclass(frozen=True)
class ResultStore:
    """The results of a run's studies, in the output folder."""

    out: Path
    private: Path
    """This scorer's own folder, inside `out`."""

    @staticmethod
    def result_name(study: str) -> str:
        """Return the name of the study's result, below the output folder."""
        return f"{STUDIES}/{study}.json"

    def shown(self, name: str) -> str:
        """Return a file's place, for a person."""
        return str(self.out / name)

    def room(self) -> "TemporaryDirectory[str]":
        """Return a temporary folder of this process's own."""
        return TemporaryDirectory(dir=self.private)

    def save(self, result: Mapping[str, Any]) -> None:
        """Save one study's result, whole or not at all."""
        text = json.dumps(result, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
        self.write(self.result_name(result["study"]), text)

    def write(self, name: str, text: str) -> None:
        """Write a file below the output folder in one step."""
        beside = self.private / f"{uuid4().hex}.part"  # writers on several machines may have one process id
        with writing(self.out / name):
            beside.write_text(text, encoding="utf-8", errors="backslashreplace")
            self.publish(beside, name)

    def load(self, name: str) -> bytes:
        """Return a file's bytes. Raises OSError where there is none."""
        return (self.out / name).read_bytes()

    def publish(self, file: Path, name: str) -> None:
        """Move a whole file to its place below the output folder."""
        (self.out / name).parent.mkdir(exist_ok=True)
        file.replace(self.out / name)

    def publish_folder(self, folder: Path, name: str) -> None:
        """Move a whole folder to its place below the output folder, instead of one that is there."""
        target = self.out / name
        with writing(target):
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(exist_ok=True)
            folder.rename(target)

    def remove(self, name: str) -> None:
        """Remove a file below the output folder, if it is there."""
        (self.out / name).unlink(missing_ok=True)

    def key(self, name: str) -> str:
        """Return the key of the study's result, or nothing where there is none that can be read."""
        try:
            return str(json.loads(self.load(self.result_name(name)))["key"])
        except (OSError, SourceError, ValueError, KeyError, TypeError):
            return ""

    def made_by_this_run(self, name: str) -> bool:
        """Return whether the study's result is newer than this scorer, by the clock of the disk that both lie on."""
        began = self.private.with_name(f"{self.private.name}.lock").stat().st_mtime_ns
        return (self.out / self.result_name(name)).stat().st_mtime_ns >= began

    def read(self, name: str) -> dict[str, Any]:
        """Return a study's result. Raises SourceError where it is missing or damaged."""
        try:
            return json.loads(self.load(self.result_name(name)))
        except (OSError, ValueError) as error:
            raise SourceError(
                f"{self.shown(self.result_name(name))} is missing or damaged; score the study again"
            ) from error

    def read_all(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the results of studies, in their order."""
        return map(self.read, names)

    def optional(self, names: Sequence[str]) -> list[str]:
        """Return the optional columns that results have, by the first that has rows."""
        first = next((rows for name in names if (rows := self.read(name)["rows"])), [])
        return optional_names(first[0] if first else ())

    def tables(self, names: Sequence[str], experts: Sequence[str]) -> "Tally":
        """Write both tables of the studies named, a bounded number of rows at a time; returns how many were ok or refused, or warned of."""
        columns = [*column_names(experts), *self.optional(names)]
        schema = pl.DataFrame(schema=polars_schema(columns)).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        parquet, people = self.private / PARQUET, self.private / CSV
        tally = Tally()
        with writing(self.out / PARQUET):
            with pq.ParquetWriter(parquet, schema) as writer, people.open("w", newline="", encoding="utf-8") as file:
                sheet = csv.writer(file, lineterminator="\n")
                sheet.writerow(columns)
                for rows in in_parts(self.rows(names, tally)):
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                    sheet.writerows([defused(row.get(name)) for name in columns] for row in rows)
            self.publish(parquet, PARQUET)
            self.publish(people, CSV)
        return tally

    def rows(self, names: Sequence[str], tally: "Tally") -> Iterator[dict[str, Any]]:
        """Yield rows of the prediction table, and count each study."""
        for result in self.read_all(names):
            tally.add(result)
            yield from rows_of(result)


@dataclass
class Tally:
    """How the studies of a run ended."""

    status: Counter[str] = field(default_factory=Counter[str])
    reasons: Counter[str] = field(default_factory=Counter[str])
    """Why studies were refused, and how many for each reason."""
    warned: int = 0
    """Studies with a warning."""
    warnings: Counter[str] = field(default_factory=Counter[str])
    """By warning, how many studies have it."""
    spared: Counter[str] = field(default_factory=Counter[str])
    """Of scoring within a budget: `items`, those that `stopped` early, `flops` done, `of` all experts (early.py)."""

    def add(self, result: Mapping[str, Any]) -> None:
        """Count one study's result."""
        self.status[result["status"]] += 1
        if result["status"] == "refused":
            self.reasons[result["error"]] += 1
        warnings = [text for text in str(result["warning"] or "").split("; ") if text]
        self.warned += bool(warnings)
        self.warnings.update(warnings)
        self.spared.update(result.get("spared", {}))


def rows_of(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a result's rows of the table; a refused study has one, without label."""
    about = {column: result[column] for column in ("study", *ABOUT)}
    about["seconds"] = float(about["seconds"])
    for row in result["rows"] or [{"item": None, "level": "study", "calibrated": False}]:
        yield {**about, **(row if "level" in row else with_level_of_row(row))}


def with_level_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row that was written before rows had a `level`, with one: the study as a whole was the item −1."""
    whole = row["item"] == -1
    return {**row, "item": None if whole else row["item"], "level": "study" if whole else "item"}


def in_parts(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield rows in lists of at most `ROWS_AT_ONCE`."""
    part: list[dict[str, Any]] = []
    for row in rows:
        part.append(row)
        if len(part) == ROWS_AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def defused(value: Any) -> Any:
    """Return a cell that no spreadsheet executes: text that begins like a formula gets an apostrophe.

    >>> defused("=1+1"), defused("study 7"), defused(-0.5)
    ("'=1+1", 'study 7', -0.5)
    """
    return f"'{value}" if isinstance(value, str) and value.lstrip().startswith(RISKY) else value


def ensure_out(out: Path) -> Path:
    """Return the output folder, made if need be. Raises UserError where it is a file."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; name a folder for the scores")
    out.mkdir(parents=True, exist_ok=True)
    return out
