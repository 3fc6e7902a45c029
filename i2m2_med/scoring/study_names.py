"""Names of studies, and what makes a folder one: the same on a disk and in an object store."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote

from i2m2_med.errors import SourceError
from i2m2_med.object_store import ObjectPath

IMAGES = ("*.h5", "*.nii", "*.nii.gz", "*.img", "*.mgz", "*.mgh", "*.dcm", "*.cfl", "*.npy")
TABLES = ("study.yaml", "series.csv", "static.json")
MARKS = (*TABLES, *IMAGES)
"""A folder that holds one of these is a study itself, not a folder of studies."""
RAW = ".h5"
"""Ending of files that are whole studies by themselves."""
LONGEST = 120
"""Bytes of a name; file names end at 255, with room for what is written beside."""


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """One study (a folder, or one raw file), and its name in tables and file names: unique in a run, printable, safe as a file name."""

    name: str
    folder: Path
    place: ObjectPath | None = None
    """Where it is fetched from when its turn comes (`remote.fetched`); `folder` is then its name alone."""
    is_object: bool = False
    """`place` is one object, a raw file, and no folder."""


def is_raw_name(name: str) -> bool:
    """Return whether a file of this name is raw data, which may be a whole study by itself."""
    return name.lower().endswith(RAW) and not name.startswith(".")


def is_marked(name: str, marks: Sequence[str] = ()) -> bool:
    """Return whether a file of this name makes its folder a study; a hidden one, such as a file manager's, makes none."""
    return not name.startswith(".") and any(fnmatchcase(name, mark) for mark in (*MARKS, *marks))


def is_one_study(files: Collection[str], marks: Sequence[str] = ()) -> bool:
    """Return whether the files of a folder are one study: some mark it, and they are not raw files side by side, a study each."""
    alone = sum(map(is_raw_name, files)) < 2 or not set(TABLES).isdisjoint(files)
    return alone and any(is_marked(name, marks) for name in files)


def own_name(name: str, above: str, raw: bool) -> str:
    """Return the name of a folder, a raw file's without its ending, and a BIDS session's with its subject, the folder `above`.

    >>> own_name("ses-1.h5", "sub-02", True), own_name("scan.h5", "sub-02", False)
    ('sub-02_ses-1', 'scan.h5')
    """
    plain = name[: -len(RAW)] if raw else name
    return f"{above}_{plain}" if plain.startswith("ses-") and above.startswith("sub-") else plain


def distinct(own: Sequence[str], whole: Sequence[str]) -> list[str]:
    """Return printable names: studies' own, or `whole`, with the folders above, where two would be called the same.

    Raises SourceError where no names tell them apart.
    """
    short = list(map(printable, own))
    count = Counter(short)
    names = [name if count[name] == 1 else printable(path) for name, path in zip(short, whole, strict=True)]
    names = names if len(set(names)) == len(names) else list(map(printable, whole))
    if len(set(names)) < len(names):
        raise SourceError(
            "two studies have names that are the same as names of files; give each a plain name of its own"
        )
    return names


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
