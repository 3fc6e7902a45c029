"""Official lists of questions or statements as studies to score: an entry (`LIST/number`) names its text and its pictures.

What is wrong with the list as a whole refuses it in a line; a picture that is missing or broken refuses its entry.
"""

import inspect
import json
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.photograph import check_photograph
from i2m2_med.sources.source import Source, Study

ENDINGS = {".json", ".jsonl"}
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
"""An identifier: it may become a part of a file's name."""
MOST_DIGITS = 18
"""Of a number that fits into 64 bits."""
ABOVE = 4
"""Folders, from the list's own upwards, that its pictures are looked for in."""


class Entry(NamedTuple):
    """One question or statement of a list."""

    name: str
    text: str
    pictures: tuple[Path, ...]
    """Where they should lie."""


class ListedSource(Source):
    """A source whose studies to score may also be the entries of an official list."""

    text: ClassVar[str]
    """The modality that an entry's text is; its pictures are the modality `picture`. Both are public, and reports show them."""
    drawn_by = "i2m2_med.samples.question_sheet"

    @abstractmethod
    def entries(self, path: Path) -> list[Entry]:
        """Return the entries of a list. Raises SourceError where the list is ill-formed."""

    @abstractmethod
    def study_folder(self, folder: Path) -> Study:
        """Open the folder of a study; its docstring says for a person how it has to look."""

    def study(self, folder: Path) -> Study:
        """Open a study's folder, or an entry of an official list."""
        return self.opened(self._entry(folder)) if is_entry(folder) else self.study_folder(folder)

    def expects(self) -> str:
        """How a study to score has to look, for a person."""
        return f"{inspect.getdoc(self.study_folder)}\n\nOr an official list (JSON), with its pictures as released in a folder beside it or above."

    def row_places(self, table: Path) -> dict[str, Path] | None:
        """By study name, the entries of an official list; None for a file that is none."""
        if table.suffix.lower() not in ENDINGS:
            return None
        entries = _kept(self.entries, table)
        if not entries:
            raise SourceError(f"{table.name} holds no entry")
        return {one.name: table.absolute() / str(number) for number, one in enumerate(entries)}

    def row_files(self, place: Path) -> tuple[str, list[Path]] | None:
        """An entry's text, and its pictures; None for a study folder."""
        if not is_entry(place):
            return None
        entry = self._entry(place)
        if any(not path.is_file() for path in entry.pictures):
            raise SourceError("its picture is missing; put the pictures beside the list, as released")
        return json.dumps([entry.name, entry.text]), list(entry.pictures)

    def opened(self, entry: Entry) -> Study:
        """An entry as one record. Raises SourceError for a broken picture."""
        for path in entry.pictures:
            check_photograph(path)
        row = {"patient": entry.name, "study": entry.name, "item": 0, f"_{self.text}": entry.text}
        there = {"has_picture": True, f"has_{self.text}": bool(entry.text)}
        return Study(pl.DataFrame([row | there | {"_pictures": [str(path) for path in entry.pictures]}]))

    def _entry(self, place: Path) -> Entry:
        return _kept(self.entries, place.parent)[int(place.name)]


def is_entry(place: Path) -> bool:
    """Whether a place is an entry of a list: a number below a file."""
    return place.name.isdecimal() and place.parent.suffix.lower() in ENDINGS and place.parent.is_file()


def _kept(read: Callable[[Path], list[Entry]], path: Path) -> list[Entry]:
    status = path.stat()
    return _read_once(read, path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2)
def _read_once(read: Callable[[Path], list[Entry]], path: Path, size: int, changed: int) -> list[Entry]:  # noqa: ARG001
    """The entries of a list, which is read once as long as it stays the same. Raises SourceError for names given twice."""
    entries = read(path)
    if len({one.name for one in entries}) < len(entries):
        raise SourceError(f"{path.name} names {len(entries) - len({one.name for one in entries})} entries twice")
    return entries


def plain(value: Any, what: str, where: str) -> str:
    """Return an identifier (a word or a whole number) as text. Raises SourceError for another value, which it doesn't repeat."""
    text = str(value) if isinstance(value, str) or type(value) is int else ""
    if not PLAIN.fullmatch(text):
        raise SourceError(f"{where}: {what} is no plain identifier (letters, digits, - and _)")
    return text


def number_in(value: Any, what: str, where: str) -> int:
    """Return an identifier that is a whole number. Raises SourceError for another one, which it doesn't repeat."""
    text = plain(value, what, where)
    if not text.isdecimal() or len(text) > MOST_DIGITS:
        raise SourceError(f"{where}: {what} is no whole number of at most {MOST_DIGITS} digits")
    return int(text)


def word_in(value: Any, known: Sequence[str], what: str, where: str) -> str:
    """Return the one of `known` words that a value is, in whatever case. Raises SourceError for another."""
    for word in known:
        if str(value).strip().lower() == word.lower():
            return word
    raise SourceError(f"{where}: {what} is {str(value)!r:.20}, none of {', '.join(known)}")


def text_in(value: Any, where: str) -> str:
    """Return the text of an entry without blanks around it. Raises SourceError for what is no text."""
    if not isinstance(value, str):
        raise SourceError(f"{where}: the text is a {type(value).__name__}")
    return value.strip()


def home_above(path: Path, holds: Callable[[Path], bool]) -> Path:
    """Return the list's folder, or the nearest one above it, that holds the pictures. Raises SourceError where none does."""
    for folder in list(path.absolute().parents)[:ABOVE]:
        if holds(folder):
            return folder
    raise SourceError(
        f"no folder of pictures lies beside {path.name} or above it; put the list where the release has it"
    )
