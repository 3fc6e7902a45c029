"""The picture or text of a study's folder, found by its name in either case. What looks like it, and can't be read, is not passed over."""

from collections.abc import Sequence
from pathlib import Path

from i2m2_med.errors import SourceError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MOST_TEXT = 1 << 20
"""Bytes of a text."""


def picture_in(folder: Path, called: str) -> Path | None:
    """Return the picture of that name without ending; None where there is none. Raises SourceError as `file_in` does."""
    return file_in(folder, called, PICTURES)


def words_in(folder: Path, called: str) -> str:
    """Return a text (UTF-8, `<called>.txt`) without blanks around it, empty where there is none.

    Raises SourceError as `file_in` does, and for another encoding or a text that is too long.
    """
    file = file_in(folder, called, (".txt",))
    if file is None:
        return ""
    if not file.is_file():
        raise SourceError(f"{file.name} is no file")
    if file.stat().st_size > MOST_TEXT:
        raise SourceError(f"{file.name} has {file.stat().st_size:,} bytes; a text has {MOST_TEXT:,} at most")
    try:
        return file.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise SourceError(f"{file.name} is not UTF-8 text; write it again") from error


def file_in(folder: Path, called: str, endings: Sequence[str]) -> Path | None:
    """Return the file of that name with one of the endings. Raises SourceError where there are several, or only one of another ending."""
    named = sorted(path for path in folder.iterdir() if path.stem.lower() == called)
    known = [path for path in named if path.suffix.lower() in endings]
    if len(known) > 1:
        raise SourceError(f"{folder.name} holds {len(known)} files called {called}; one is asked for")
    if named and not known:
        raise SourceError(f"{folder.name}: {named[0].name} is not read; {called} is to end in {', '.join(endings)}")
    return known[0] if known else None
