"""Studies in a folder of an object store: found and named as on a disk, from lists alone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from i2m2_med.errors import SourceError
from i2m2_med.object_store import ObjectPath, entries
from i2m2_med.scoring.study_names import RAW, StudyFolder, distinct, is_marked, is_one_study, is_raw_name, own_name

MAX_STUDIES = 5_000_000
"""Studies that a folder of an object store may hold."""
LISTED_AT_ONCE = 16
"""Folders of an object store that are listed at a time: each takes a round trip."""


def studies_in_store(
    place: ObjectPath, leave_out: Path | ObjectPath | None, marks: Sequence[str] = ()
) -> list[StudyFolder]:
    """Return the studies in a folder of an object store: its folders and `.h5` files, or itself where it is one. Raises SourceError."""
    files, folders = listed(place)
    if is_one_study([file.name for file in files], marks):
        return named([place], set(), place)
    raw = [file for file in files if is_raw_name(file.name)]
    folders = [folder for folder in folders if folder != leave_out]
    subjects = [folder for folder in folders if folder.name.startswith("sub-")]
    with ThreadPoolExecutor(LISTED_AT_ONCE) as asking:
        sessions_of = dict(zip(subjects, asking.map(stored_sessions, subjects), strict=True))
    kept = [*raw, *(each for folder in folders for each in sessions_of.get(folder, [folder]))]
    if not kept:
        raise SourceError(
            f"{place} holds no study folder and no .h5 file; name a folder of study folders or of .h5 files"
        )
    return named(kept, set(raw), place)


def named(places: Sequence[ObjectPath], raw: set[ObjectPath], root: ObjectPath) -> list[StudyFolder]:
    """Return studies, in the order of their names. raw: those that are one object."""
    above = [place.key.rpartition("/")[0].rpartition("/")[2] for place in places]
    own = [own_name(place.name, folder, place in raw) for place, folder in zip(places, above, strict=True)]
    names = distinct(own, [place.key.removeprefix(root.inside) for place in places])
    studies = [
        StudyFolder(name, Path(f"{name}{RAW}" if place in raw else name), place, place in raw)
        for name, place in zip(names, places, strict=True)
    ]
    return sorted(studies, key=lambda study: study.name)


def listed(place: ObjectPath) -> tuple[list[ObjectPath], list[ObjectPath]]:
    """Return the objects and the folders in a folder of an object store, without hidden ones."""
    there = [(place / one.name, one.folder) for one in entries(place, MAX_STUDIES) if not one.name.startswith(".")]
    return [one for one, folder in there if not folder], [one for one, folder in there if folder]


def stored_sessions(place: ObjectPath) -> list[ObjectPath]:
    """Return the sessions of a BIDS subject where it has several, or else the study itself, as `studies.sessions` does."""
    files, folders = listed(place)
    found = [folder for folder in folders if folder.name.startswith("ses-")]
    return found if len(found) > 1 and not any(is_marked(file.name) for file in files) else [place]
