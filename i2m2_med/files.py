"""Nothing half-written: a file or folder is made beside its place and renamed into it when it is whole."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from i2m2_med.errors import SourceError, UserError


@contextmanager
def replace_file(path: Path) -> Generator[Path]:
    """Yield a path beside `path` to write; on success it replaces `path`, on any error it is gone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        to_disk(beside)
        beside.replace(path)
    except OSError as error:
        raise plain_disk_error(error, path) from error
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replace_folder(path: Path) -> Generator[Path]:
    """Yield a folder beside `path` to fill; on success it becomes `path`. A folder that already holds files is refused."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} already holds something; name a new folder, or empty this one first")
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.mkdir(parents=True)
        yield beside
        for file in beside.rglob("*"):
            if file.is_file() and not file.is_symlink():
                to_disk(file)
        if path.exists():
            path.rmdir()
        beside.rename(path)
    except OSError as error:
        raise plain_disk_error(error, path) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk: a name that is there before it would outlive a power cut, empty."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def sole_user(folder: Path, waiting: Callable[[], None] | None = None) -> Generator[None]:
    """Hold `folder` for this process; freed when the process ends.

    Another process that holds it already is a UserError, or, where `waiting` is given, waited for after calling it once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if waiting is None:
                raise UserError(f"{folder} is in use by another run; wait for it, or name another folder") from error
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def plain_disk_error(error: OSError, path: Path) -> Exception:
    """A full disk or a folder that can't be written is the user's to mend; other errors stay what they are."""
    said = {
        errno.ENOSPC: "no space is left on the disk",
        errno.EDQUOT: "the disk quota is used up",
        errno.EACCES: "no right to write there",
        errno.EPERM: "no right to write there",
        errno.EROFS: "the file system is read-only",
    }.get(error.errno or 0)
    return UserError(f"can't write {path}: {said}") if said else error


def write_json(path: Path, content: Any) -> None:
    """Write `content` whole or not at all, keys in their order, numbers as Python prints them."""
    with replace_file(path) as beside:
        beside.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_of(path: Path) -> str:
    """The file's content hash, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content: Any) -> str:
    """A hash over a JSON-able value that does not depend on key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def existing_folder(path: Path, what: str) -> Path:
    """`path` if it is a folder, else a SourceError that says what was to be there."""
    if not path.is_dir():
        raise SourceError(f"{path} is not a folder; {what}")
    return path
