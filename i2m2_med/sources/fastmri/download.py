"""The official download as it lies on disk: which folders count, links to folders, and where it puts each volume.

It comes as `singlecoil_train`, `singlecoil_val`, `singlecoil_test` and the same for `multicoil_*`, with the same file names in
both; later releases and batches have longer names (`singlecoil_test_v2`, `multicoil_train_batch_0`).
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from i2m2_med.errors import SourceError

KIND = re.compile(r"(single|multi)coil(?:$|_)", re.IGNORECASE)
PART = re.compile(r"(?:single|multi)coil_(train|val|test)(?:$|_)", re.IGNORECASE)
MOST_FOLDERS = 20_000
"""More than any data set has: a link to the root of a file system must not be walked."""


@dataclass
class Walk:
    """The files below a folder, and how its links to folders were taken."""

    files: list[Path] = field(default_factory=list[Path])
    outside: int = 0
    """Links that lie in the folder and lead out of it: they were followed."""
    left: int = 0
    """Links that were not followed: to where the walk had been, to nowhere, or from outside to further outside."""


def walk_folder(root: Path) -> Walk:
    """Every file below `root`, sorted, links to folders followed, each folder read once.

    A link leads out of `root` only if it lies in `root` itself. Raises SourceError for a folder that can't be read, or for more
    than `MOST_FOLDERS`.
    """
    walk = Walk()
    homes = [root.resolve()]
    seen = {homes[0]}
    folders, links = [root], list[Path]()
    while folders or links:  # what lies in the folder itself comes before what is linked to it
        folder = folders.pop() if folders else links.pop(0)
        if folder.is_symlink() and not _enter(folder, homes, seen, walk):
            continue
        if len(seen) > MOST_FOLDERS:
            raise SourceError(f"{root} holds more than {MOST_FOLDERS} folders. Name the folder of the volumes.")
        for entry in _entries(folder):
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                seen.add(path.resolve())
                folders.append(path)
            elif entry.is_symlink() and (path.is_dir() or not path.exists()):
                links.append(path)
            elif entry.is_file():
                walk.files.append(path)
    walk.files.sort()
    return walk


def _enter(link: Path, homes: list[Path], seen: set[Path], walk: Walk) -> bool:
    """Whether a link to a folder is to be followed; counts it either way."""
    target = link.resolve()
    inside = any(target.is_relative_to(home) for home in homes)
    its_own = link.parent.resolve().is_relative_to(homes[0])
    if (
        target in seen
        or not target.is_dir()
        or any(home.is_relative_to(target) for home in homes)
        or not (inside or its_own)
    ):
        walk.left += 1
        return False
    seen.add(target)
    if not inside:
        homes.append(target)
        walk.outside += 1
    return True


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise SourceError(f"The folder {folder} can't be read. Check its permissions.") from error


def of_kind(paths: Iterable[Path], root: Path, coils: str) -> list[Path]:
    """The files that `source.coils` means: where folders of that kind are there, none from folders of the other.

    coils: single, multi or any. Files in no such folder count either way.
    """
    files = list(paths)
    kinds = {kind_of(path, root) for path in files}
    other = {"single": "multi", "multi": "single"}.get(coils)
    return [path for path in files if kind_of(path, root) != other] if coils in kinds else files


def kind_of(path: Path, root: Path) -> str | None:
    """`single` or `multi`, by the nearest folder below `root` that says so."""
    return _by_folder(KIND, path, root)


def part_of_download(path: Path, root: Path) -> str | None:
    """`train`, `val` or `test`, by the nearest folder below `root` that says so."""
    return _by_folder(PART, path, root)


def _by_folder(pattern: re.Pattern[str], path: Path, root: Path) -> str | None:
    # the root's own name counts last: it may be one folder of the download
    names = [root.absolute().name, *path.parent.relative_to(root).parts]
    matches = [match[1].lower() for name in reversed(names) if (match := pattern.match(name))]
    return matches[0] if matches else None
