"""The studies to be scored: a folder of studies, a manifest (CSV, Parquet) or a glob → studies with names.

A study is a folder; where raw files (`.h5`) lie side by side, as in the test folder of the official download, each file is one.
A subject's folder in BIDS with several sessions is a study for each session.
"""

import csv
import glob
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from i2m2_med.errors import SourceError
from i2m2_med.object_store import ObjectPath, located
from i2m2_med.scoring.stored_studies import studies_in_store
from i2m2_med.scoring.study_names import (
    StudyFolder,
    distinct,
    is_marked,
    is_one_study,
    is_raw_name,
    own_name,
    printable,
)
from i2m2_med.sources.source import Source

COLUMNS = ("study", "folder", "path")
"""Names that the manifest's column of study folders may have; relative paths count from the manifest's folder."""


def find_studies(
    where: str, leave_out: Path | ObjectPath | None = None, source: Source | None = None
) -> list[StudyFolder]:
    """Return the studies that `where` names, in the order of their names. Raises SourceError where there are none.

    leave_out: the output folder, should it lie among the studies. source: the model's, whose studies may be rows of a table.
    """
    root = located(where)
    if isinstance(root, ObjectPath):
        return studies_in_store(root, leave_out, source.marks if source is not None else ())
    rows = source.row_places(root) if source is not None and os.path.isfile(root) else None  # noqa: PTH113
    if rows is not None:
        return named_rows(rows)
    if os.path.isdir(root):  # noqa: PTH112  (no path of these is an error: a name too long, links in a circle)
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


def studies_in(root: Path, marks: Sequence[str] = ()) -> list[Path]:
    """Return a folder itself where it is a study, or else the studies in it: folders and raw files. marks: patterns of files that
    make it one. Raises SourceError where it can't be listed."""
    try:
        files, folders = listed(root)
    except OSError as error:
        raise SourceError(f"{root} can't be listed; check its permissions") from error
    if is_one_study(files, marks):
        return [root]
    return [root / name for name in (*sorted(filter(is_raw_name, files)), *folders)]


def listed(root: Path) -> tuple[list[str], list[str]]:
    """Return the names of the files and of the folders in `root`, without hidden ones; of a hundred thousand none becomes a path."""
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(root) as there:
        for entry in there:
            if not entry.name.startswith("."):
                (folders if is_folder(entry) else files).append(entry.name)
    return files, folders


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one, or leads nowhere: such a link is accounted for, and refused later."""
    if not entry.is_symlink():
        return entry.is_dir()
    try:
        return stat.S_ISDIR(entry.stat().st_mode)
    except OSError:
        return True


def is_raw(path: Path) -> bool:
    """Return whether a path is a file of raw data, which is a whole study by itself."""
    return is_raw_name(path.name) and path.is_file()


def sessions(place: Path) -> list[Path]:
    """Return the sessions of a BIDS subject (`sub-01/ses-1`, …) where it has several, or else the study itself: a link, or what can't
    be listed, too, which is refused when its turn comes."""
    if not place.name.startswith("sub-") or place.is_symlink() or not place.is_dir():
        return [place]
    try:
        files, folders = listed(place)
    except OSError:
        return [place]
    found = [place / name for name in folders if name.startswith("ses-")]
    return found if len(found) > 1 and not any(map(is_marked, files)) else [place]


def folders_in_manifest(manifest: Path) -> list[Path]:
    """Return the folders that a manifest names."""
    rows = read_column(manifest)
    return [manifest.parent / row for row in rows if row]


def read_column(manifest: Path) -> list[str]:
    """Return the column of study folders of a CSV or Parquet file."""
    if not manifest.is_file():
        raise SourceError(f"{manifest} is not there, or is no file")
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
    own = [own_name(path.name, path.parent.name, is_raw(path)) for path in map(Path, unique)]
    names = distinct(own, [os.path.relpath(path, above) for path in unique])
    return sorted(map(StudyFolder, names, unique.values()), key=lambda study: study.name)


def absolute(path: Path) -> str:
    """Return the absolute path, links kept, as text: there may be very many."""
    return os.path.abspath(path)  # noqa: PTH100  (resolve would follow links)
