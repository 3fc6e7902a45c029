"""The studies to be scored: a folder of studies, a manifest (CSV, Parquet) or a glob → studies with names.

A study is a folder; where raw files (`.h5`) lie side by side, as in the test folder of the official download, each file is one.
A subject's folder in BIDS with several sessions is a study for each session.
"""

import csv
import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote

from i2m2_med.errors import SourceError
from i2m2_med.object_store import ObjectPath, entries, located
from i2m2_med.sources.source import Source

IMAGES = ("*.h5", "*.nii", "*.nii.gz", "*.img", "*.mgz", "*.mgh", "*.dcm", "*.cfl", "*.npy")
MARKS = ("study.yaml", "series.csv", "static.json", *IMAGES)
"""A folder that holds one of these is a study itself, not a folder of studies."""
RAW = ".h5"
"""Ending of files that are whole studies by themselves."""
COLUMNS = ("study", "folder", "path")
"""Names that the manifest's column of study folders may have; relative paths count from the manifest's folder."""
MAX_STUDIES = 5_000_000
"""Studies that a folder of an object store may hold."""
LONGEST = 120
"""Bytes of a name; file names end at 255, with room for what is written beside."""


@dataclass(frozen=True)
class StudyFolder:
    """One study (a folder, or one raw file), and its name in tables and file names: unique in a run, printable, safe as a file name."""

    name: str
    folder: Path
    place: ObjectPath | None = None
    """Where it is fetched from when its turn comes (`remote.fetched`); `folder` is then its name alone."""


def find_studies(
    where: str, leave_out: Path | ObjectPath | None = None, source: Source | None = None
) -> list[StudyFolder]:
    """Return the studies that `where` names, in the order of their names. Raises SourceError where there are none.

    leave_out: the output folder, should it lie among the studies. source: the model's, whose studies may be rows of a table.
    """
    root = located(where)
    if isinstance(root, ObjectPath):
        return studies_in_store(root, leave_out, source.marks if source is not None else ())
    rows = source.row_places(root) if source is not None and root.is_file() else None
    if rows is not None:
        return named_rows(rows)
    if root.is_dir():
        places = studies_in(root, source.marks if source is not None else ())
    elif root.suffix.lower() in {".csv", ".parquet"}:
        places = folders_in_manifest(root)
    else:
        matches = [Path(match) for match in glob.iglob(where, recursive=True)]  # noqa: PTH207  (`where` may be absolute)
        places = [path for path in matches if path.is_dir() or is_raw(path)]
    kept = [place for place in places if not isinstance(leave_out, Path) or absolute(place) != absolute(leave_out)]
    if not kept:
        raise SourceError(
            f"{where} holds no study folder and no .h5 file; name a folder of study folders or of .h5 files, a manifest, or a glob"
        )
    return with_names(each for place in kept for each in sessions(place))


def named_rows(rows: Mapping[str, Path]) -> list[StudyFolder]:
    """Return rows of a table as studies. Raises SourceError where two would have one name as files."""
    studies = [StudyFolder(printable(name), place) for name, place in rows.items()]
    if len({study.name for study in studies}) < len(studies):
        raise SourceError(
            "two rows have names that are the same as names of files; give each study a plain name of its own"
        )
    return sorted(studies, key=lambda study: study.name)


def studies_in_store(
    place: ObjectPath, leave_out: Path | ObjectPath | None, marks: Sequence[str] = ()
) -> list[StudyFolder]:
    """Return the studies in a folder of an object store: its folders and `.h5` files, or itself where it is one. Raises SourceError."""
    listed = [one for one in entries(place, MAX_STUDIES) if not one.name.startswith(".")]
    files = [one.name for one in listed if not one.folder]
    raw = [name for name in files if is_stored_raw(name)]
    if len(raw) < 2 and any(fnmatch(name, mark) for name in files for mark in (*MARKS, *marks)):
        return [stored_study(printable(place.name), place)]
    kept = [name for name in (*raw, *(one.name for one in listed if one.folder)) if place / name != leave_out]
    if not kept:
        raise SourceError(
            f"{place} holds no study folder and no .h5 file; name a folder of study folders or of .h5 files"
        )
    names = [printable(name[: -len(RAW)] if is_stored_raw(name) else name) for name in kept]
    if len(set(names)) < len(names):
        names = [printable(name) for name in kept]
    if len(set(names)) < len(names):
        raise SourceError(f"{place}: two studies have names that are the same as names of files")
    studies = (stored_study(name, place / key) for name, key in zip(names, kept, strict=True))
    return sorted(studies, key=lambda study: study.name)


def is_stored_raw(name: str) -> bool:
    """Return whether an object of this name is a file of raw data, which is a whole study by itself."""
    return name.lower().endswith(RAW)


def stored_study(name: str, place: ObjectPath) -> StudyFolder:
    """Return a study that is still in the store."""
    return StudyFolder(name, Path(f"{name}{RAW}" if is_stored_raw(place.name) else name), place)


def studies_in(root: Path, marks: Sequence[str] = ()) -> list[Path]:
    """Return a folder itself where it is a study, or else the studies in it. marks: patterns of files that make it one."""
    files = sorted(filter(is_raw, root.iterdir()))
    if len(files) > 1 and not any((root / name).is_file() for name in MARKS[:3]):
        return [*files, *subfolders(root)]
    return [root] if is_study(root, marks) else subfolders(root)


def is_raw(path: Path) -> bool:
    """Return whether a path is a file of raw data, which is a whole study by itself."""
    return path.suffix.lower() == RAW and not path.name.startswith(".") and path.is_file()


def sessions(place: Path) -> list[Path]:
    """Return the sessions of a BIDS subject (`sub-01/ses-1`, …) where it has several, or else the study itself."""
    if not place.name.startswith("sub-") or not place.is_dir() or is_study(place):
        return [place]
    folders = [folder for folder in subfolders(place) if folder.name.startswith("ses-")]
    return folders if len(folders) > 1 else [place]


def is_study(folder: Path, marks: Sequence[str] = ()) -> bool:
    """Return whether a folder holds a study's files rather than study folders."""
    return any(path.is_file() for mark in (*MARKS, *marks) for path in folder.glob(mark))


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
    """Return studies with their names: their own, or with the folders above where two would be called the same."""
    unique = sorted({absolute(folder): folder for folder in folders}.items())
    above = Path(os.path.commonpath([path.parent for path, _ in unique]))
    whole = [printable(str(path.relative_to(above))) for path, _ in unique]
    own = [printable(own_name(path)) for path, _ in unique]
    count = Counter(own)
    names = [short if count[short] == 1 else long for short, long in zip(own, whole, strict=True)]
    names = names if len(set(names)) == len(names) else whole
    studies = [StudyFolder(name, folder) for name, (_, folder) in zip(names, unique, strict=True)]
    return sorted(studies, key=lambda study: study.name)


def own_name(path: Path) -> str:
    """Return a folder's name, a raw file's without its ending, and a BIDS session's with its subject."""
    if path.name.startswith("ses-") and path.parent.name.startswith("sub-"):
        return f"{path.parent.name}_{path.name}"
    return path.stem if is_raw(path) else path.name


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
