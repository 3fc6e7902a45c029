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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
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
LISTED_AT_ONCE = 16
"""Folders of an object store that are listed at a time: each takes a round trip."""
LONGEST = 120
"""Bytes of a name; file names end at 255, with room for what is written beside."""


@dataclass(frozen=True, slots=True)
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
    out = absolute(leave_out) if isinstance(leave_out, Path) else ""
    kept = [place for place in places if absolute(place) != out]
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
    files, folders = listed(place)
    raw = [file for file in files if is_stored_raw(file)]
    if len(raw) < 2 and any(is_marked(file.name, marks) for file in files):
        return [stored_study(own_name_there(place), place)]
    folders = [folder for folder in folders if folder != leave_out]
    subjects = [folder for folder in folders if folder.name.startswith("sub-")]
    with ThreadPoolExecutor(LISTED_AT_ONCE) as asking:
        sessions_of = dict(zip(subjects, asking.map(stored_sessions, subjects), strict=True))
    kept = [*raw, *(each for folder in folders for each in sessions_of.get(folder, [folder]))]
    if not kept:
        raise SourceError(
            f"{place} holds no study folder and no .h5 file; name a folder of study folders or of .h5 files"
        )
    names = [own_name_there(one) for one in kept]
    if len(set(names)) < len(names):
        names = [printable(one.key.removeprefix(place.inside)) for one in kept]
    if len(set(names)) < len(names):
        raise SourceError(f"{place}: two studies have names that are the same as names of files")
    studies = map(stored_study, names, kept)
    return sorted(studies, key=lambda study: study.name)


def listed(place: ObjectPath) -> tuple[list[ObjectPath], list[ObjectPath]]:
    """Return the objects and the folders in a folder of an object store, without hidden ones."""
    there = [(place / one.name, one.folder) for one in entries(place, MAX_STUDIES) if not one.name.startswith(".")]
    return [one for one, folder in there if not folder], [one for one, folder in there if folder]


def is_marked(name: str, marks: Sequence[str] = ()) -> bool:
    """Return whether a file of this name makes its folder a study."""
    return any(fnmatchcase(name, mark) for mark in (*MARKS, *marks))


def stored_sessions(place: ObjectPath) -> list[ObjectPath]:
    """Return the sessions of a BIDS subject where it has several, or else the study itself, as `sessions` does."""
    files, folders = listed(place)
    found = [folder for folder in folders if folder.name.startswith("ses-")]
    return found if len(found) > 1 and not any(is_marked(file.name) for file in files) else [place]


def own_name_there(place: ObjectPath) -> str:
    """As `own_name`, printable."""
    name = place.name[: -len(RAW)] if is_stored_raw(place) else place.name
    subject = place.key.rpartition("/")[0].rpartition("/")[2]
    session = name.startswith("ses-") and subject.startswith("sub-")
    return printable(f"{subject}_{name}" if session else name)


def is_stored_raw(place: ObjectPath) -> bool:
    """Return whether an object of this name is a file of raw data, which is a whole study by itself."""
    return place.name.lower().endswith(RAW)


def stored_study(name: str, place: ObjectPath) -> StudyFolder:
    """Return a study that is still in the store."""
    return StudyFolder(name, Path(f"{name}{RAW}" if is_stored_raw(place) else name), place)


def studies_in(root: Path, marks: Sequence[str] = ()) -> list[Path]:
    """Return a folder itself where it is a study, or else the studies in it. marks: patterns of files that make it one."""
    files = raw_files(root)
    if len(files) > 1 and not any((root / name).is_file() for name in MARKS[:3]):
        return [*files, *subfolders(root)]
    return [root] if is_study(root, marks) else subfolders(root)


def raw_files(root: Path) -> list[Path]:
    """Return the files of raw data in `root`, in the order of their names; of a hundred thousand folders none becomes a path."""
    with os.scandir(root) as there:
        return sorted(path for entry in there if entry.name.lower().endswith(RAW) and is_raw(path := root / entry.name))


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
    with os.scandir(folder) as there:
        return any(is_marked(entry.name, marks) and entry.is_file() for entry in there)


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
    unique = {absolute(folder): folder for folder in folders}
    above = os.path.commonpath([os.path.dirname(path) for path in unique])  # noqa: PTH120
    own = [printable(own_name(Path(path))) for path in unique]
    count = Counter(own)

    def whole(path: str) -> str:
        return printable(os.path.relpath(path, above))

    names = [short if count[short] == 1 else whole(path) for short, path in zip(own, unique, strict=True)]
    names = names if len(set(names)) == len(names) else list(map(whole, unique))
    return sorted(map(StudyFolder, names, unique.values()), key=lambda study: study.name)


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


def absolute(path: Path) -> str:
    """Return the absolute path, links kept, as text: there may be very many."""
    return os.path.abspath(path)  # noqa: PTH100  (resolve would follow links)
