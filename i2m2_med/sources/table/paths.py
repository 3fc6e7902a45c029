"""Cells that name files: paths below the root, each looked at before anything is read, and all that are wrong listed at once."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from i2m2_med.errors import SourceError

DATASET = "::"
"""Between a file and the name of the data set in it: `scan.h5::t1`."""
LISTED = 20
"""Wrong paths that a refusal lists; the others are counted."""
MOST_FILES = 20_000
"""Files of a folder that is one image."""


def file_of(cell: str) -> str:
    """The file's part of a cell, without the data set inside."""
    return cell.partition(DATASET)[0]


def located(cell: str, homes: Iterable[Path], root: Path) -> Path:
    """The file or folder that a cell names, relative to one of `homes`. Raises SourceError where there is none, or outside `root`."""
    name = file_of(cell)
    if "\x00" in name or len(name) > 4_000:
        raise SourceError("holds something that is no path")
    top = Path(os.path.normpath(root.absolute()))
    for home in homes:
        path = Path(os.path.normpath(home.absolute() / name))
        if not path.is_relative_to(top):
            raise SourceError(
                f"lies outside of the root {root.name or root}; set source.root to the folder that holds all files"
            )
        try:
            if path.is_file() or path.is_dir():
                return path
            if path.exists():
                raise SourceError("is no file, but a device or a pipe")
        except OSError as error:  # too long a name, links in a circle
            raise SourceError(f"can't be looked at ({error.strerror})") from error
    raise SourceError("is not there")


def files_below(path: Path) -> list[Path]:
    """A file itself, or the files of a folder. Raises SourceError for a folder that holds none, or too many."""
    if not path.is_dir():
        return [path]
    files: list[Path] = []
    for place, folders, names in os.walk(path):  # follows no links to folders
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(place) / name for name in sorted(names) if not name.startswith(".")]
        if len(files) > MOST_FILES:
            raise SourceError(f"holds more than {MOST_FILES:,} files")
    if not files:
        raise SourceError("is an empty folder")
    return files


class WrongPaths:
    """Collects what is wrong with paths, and refuses all of them in one error."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def add(self, row: int, column: str, why: str) -> None:
        """Note one: its row, its column and the reason."""
        self.wrong.append(f"row {row}, {column}: {why}")

    def lines(self) -> Iterator[str]:
        """The first ones, a line each, and how many more there are."""
        yield from (f"  {line}" for line in self.wrong[:LISTED])
        if len(self.wrong) > LISTED:
            yield f"  … and {len(self.wrong) - LISTED} more"

    def refuse(self, table: str, of: int) -> None:
        """Raise SourceError where there are any."""
        if self.wrong:
            head = f"{table}: {len(self.wrong)} of {of} files that it names can't be used:"
            raise SourceError(
                "\n".join([head, *self.lines(), "Mend the paths, or clear the cells where nothing was acquired."])
            )
