"""The studies to be scored: a folder of study folders, a manifest (CSV, Parquet) or a glob → study folders with names."""

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
"""Names that the manifest's column of study folders may have; relative paths count from the manifest's folder."""
LONGEST = 120
"""Bytes of a name; file names end at 255, with room for what is written beside."""


@dataclass(frozen=True)
class StudyFolder:
    """One study folder, and its name in tables and file names: unique in a run, printable, safe as a file name."""

    name: str
    folder: Path


def find_studies(where: str, leave_out: Path | None = None) -> list[StudyFolder]:
    """Return the study folders that `where` names, in the order of their names. Raises SourceError where there are none.

    leave_out: the output folder, should it lie among the studies.
    """
    root = Path(where)
    if root.is_dir():
        folders = [root] if is_study(root) else subfolders(root)
    elif root.suffix.lower() in {".csv", ".parquet"}:
        folders = folders_in_manifest(root)
    else:
        folders = [Path(match) for match in glob.iglob(where, recursive=True) if Path(match).is_dir()]  # noqa: PTH207  (`where` may be absolute)
    kept = [folder for folder in folders if leave_out is None or absolute(folder) != absolute(leave_out)]
    if not kept:
        raise SourceError(f"{where} holds no study folder; name a folder of study folders, a manifest, or a glob")
    return with_names(kept)


def is_study(folder: Path) -> bool:
    """Return whether a folder holds a study's files rather than study folders."""
    return any(path.is_file() for mark in MARKS for path in folder.glob(mark))


def subfolders(root: Path) -> list[Path]:
    """Return the folders in `root` (links to folders too: they are accounted for, and refused later); hidden ones are no studies."""
    return [Path(entry.path) for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith(".")]


def folders_in_manifest(manifest: Path) -> list[Path]:
    """Return the folders that a manifest names."""
    rows = read_column(manifest)
    return [manifest.parent / row for row in rows if row]


def read_column(manifest: Path) -> list[str]:
    """Return the column of study folders of a CSV or Parquet file."""
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
    """Return the name of the column of study folders."""
    column = next((name for name in COLUMNS if name in names), None)
    if column is None:
        raise SourceError(f"{manifest} lacks a column 'study' with the study folders (it has {', '.join(names)})")
    return column


def with_names(folders: Iterable[Path]) -> list[StudyFolder]:
    """Return folders with their names: the folder's own, or with the folders above it where two would be called the same."""
    unique = sorted({absolute(folder): folder for folder in folders}.items())
    twice = Counter(printable(path.name) for path, _ in unique)
    above = Path(os.path.commonpath([path.parent for path, _ in unique]))
    studies = [
        StudyFolder(printable(path.name if twice[printable(path.name)] == 1 else str(path.relative_to(above))), folder)
        for path, folder in unique
    ]
    return sorted(studies, key=lambda study: study.name)


def printable(name: str) -> str:
    """Return a name without line breaks, separators or what a shell, spreadsheet or file system trips over; others stay as they are.

    >>> printable("study 7"), printable("a/..\\n")
    ('study 7', 'a%2F..%0A')
    """
    safe = re.sub(r"[^\w .,()+=@-]", lambda sign: quote(as_bytes(sign[0]), safe="") or "%", name)
    safe = re.sub(r"^[. -]|[. ]$", lambda sign: f"%{ord(sign[0]):02X}", safe)
    if len(as_bytes(safe)) > LONGEST:
        kept = as_bytes(safe)[: LONGEST - 17].decode(errors="ignore")
        safe = f"{kept}~{hashlib.sha256(as_bytes(name)).hexdigest()[:16]}"
    return safe


def as_bytes(name: str) -> bytes:
    """Return a name as a file system has it, or, for one that no file system can have (half a sign), as it is."""
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


def absolute(path: Path) -> Path:
    """Return the absolute path, links kept."""
    return Path(os.path.abspath(path))  # noqa: PTH100  (resolve would follow links)
