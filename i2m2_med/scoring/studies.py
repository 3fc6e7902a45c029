"""Which studies are to be scored: a folder of study folders, a manifest (CSV, Parquet) or a glob → named folders."""

import csv
import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from i2m2_med.errors import SourceError

MARKS = ("study.yaml", "series.csv", "static.json", "*.h5", "*.nii", "*.nii.gz")
"""A folder that holds one of these is a study itself, not a folder of studies."""
COLUMNS = ("study", "folder", "path")
"""What the manifest's column of study folders may be called; relative paths count from the manifest's place."""
LONGEST = 120
"""Bytes of a name; file names end at 255, with room for what is written beside."""


@dataclass(frozen=True)
class Place:
    """One study folder, and its name in tables and file names: unique in a run, printable, safe as a file name."""

    name: str
    folder: Path


def find_studies(where: str, leave_out: Path | None = None) -> list[Place]:
    """The study folders that `where` names, in the order of their names. Raises SourceError where there are none.

    leave_out: the output folder, should it lie among the studies.
    """
    root = Path(where)
    if root.is_dir():
        folders = [root] if is_study(root) else children(root)
    elif root.suffix.lower() in {".csv", ".parquet"}:
        folders = listed(root)
    else:
        folders = [Path(found) for found in glob.iglob(where, recursive=True) if Path(found).is_dir()]  # noqa: PTH207  (`where` may be absolute)
    kept = [folder for folder in folders if leave_out is None or absolute(folder) != absolute(leave_out)]
    if not kept:
        raise SourceError(f"{where} holds no study folder; name a folder of study folders, a manifest, or a glob")
    return named(kept)


def is_study(folder: Path) -> bool:
    """Whether a folder holds a study's files rather than study folders."""
    return any(path.is_file() for mark in MARKS for path in folder.glob(mark))


def children(root: Path) -> list[Path]:
    """The folders in `root` (links to folders too: they are accounted for, and refused later); hidden ones are no studies."""
    return [Path(entry.path) for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith(".")]


def listed(manifest: Path) -> list[Path]:
    """The folders that a manifest names."""
    rows = read_column(manifest)
    return [manifest.parent / row for row in rows if row]


def read_column(manifest: Path) -> list[str]:
    """The column of study folders of a CSV or Parquet file."""
    try:
        if manifest.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            table = pq.ParquetFile(manifest)
            column = column_of(table.schema_arrow.names, manifest)
            return [str(value) for value in table.read([column])[column].to_pylist() if value is not None]
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            column = column_of(reader.fieldnames or [], manifest)
            return [row[column] or "" for row in reader]
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors or OSErrors
        raise SourceError(
            f"{manifest} can't be read as a manifest of studies; write it again as CSV or Parquet"
        ) from error


def column_of(names: Sequence[str], manifest: Path) -> str:
    """The name of the column of study folders."""
    found = next((name for name in COLUMNS if name in names), None)
    if found is None:
        raise SourceError(f"{manifest} lacks a column 'study' with the study folders (it has {', '.join(names)})")
    return found


def named(folders: Iterable[Path]) -> list[Place]:
    """Folders with their names: the folder's own, or with the folders above it where two would be called the same."""
    unique = sorted({absolute(folder): folder for folder in folders}.items())
    twice = Counter(printable(path.name) for path, _ in unique)
    above = Path(os.path.commonpath([path.parent for path, _ in unique]))
    places = [
        Place(printable(path.name if twice[printable(path.name)] == 1 else str(path.relative_to(above))), folder)
        for path, folder in unique
    ]
    return sorted(places, key=lambda place: place.name)


def printable(name: str) -> str:
    """A name without line breaks, separators or what a shell, spreadsheet or file system trips over; others stay as they are.

    >>> printable("knee 7"), printable("a/..\\n")
    ('knee 7', 'a%2F..%0A')
    """
    said = re.sub(r"[^\w .,()+=@-]", lambda sign: quote(os.fsencode(sign[0]), safe="") or "%", name)
    said = re.sub(r"^[. -]|[. ]$", lambda sign: f"%{ord(sign[0]):02X}", said)
    if len(os.fsencode(said)) > LONGEST:
        kept = os.fsencode(said)[: LONGEST - 17].decode(errors="ignore")
        said = f"{kept}~{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
    return said


def absolute(path: Path) -> Path:
    """The absolute path, links kept."""
    return Path(os.path.abspath(path))  # noqa: PTH100  (resolve would follow links)
