"""Nothing half-written: a file or folder is made beside its place and renamed into it when it is whole."""

import errno
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
        with writing(path):
            yield beside
            to_disk(beside)
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replace_folder(path: Path) -> Generator[Path]:
    """Yield a folder beside `path` to fill; on success it becomes `path`. A folder that already holds files is refused."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} already holds something; name a new folder, or empty this one first")
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writing(path):
            beside.mkdir(parents=True)
            yield beside
            for file in beside.rglob("*"):
                if file.is_file() and not file.is_symlink():
                    to_disk(file)
            if path.exists():
                path.rmdir()
            beside.rename(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk: a name that is there before it would outlive a power cut, empty."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def sole_user(folder: Path, waiting: Callable[[], None] | None = None) -> Generator[None]:
    """Lock `folder` for this process.

    Where another process has it: raise UserError, or, where `waiting` is given, call it once and wait.
    """
    busy = UserError(f"{folder} is in use by another run; wait for it, or name another folder")
    with exclusive(folder / ".lock", None if waiting else busy, waiting):
        yield


@contextmanager
def exclusive(path: Path, busy: UserError | None = None, waiting: Callable[[], None] | None = None) -> Generator[None]:
    """Hold the lock file `path` alone; the operating system frees it when the process ends, however that happens.

    Where another process holds it: raise `busy`, or, where that is not given, call `waiting` once and wait.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        if busy is not None:
            raise busy from error
        if waiting is not None:
            waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turn the errors of a disk that can't be written to into a UserError that names `path`."""
    try:
        yield
    except OSError as error:
        plain = plain_disk_error(error, path)
        if plain is None:
            raise
        raise plain from error


def plain_disk_error(error: OSError, path: Path) -> UserError | None:
    """Return the user's error for a full disk or a folder that can't be written; None for any other error."""
    reason = {
        errno.ENOSPC: "no space is left on the disk",
        errno.EDQUOT: "the disk quota is used up",
        errno.EACCES: "no right to write there",
        errno.EPERM: "no right to write there",
        errno.EROFS: "the file system is read-only",
    }.get(error.errno or 0)
    return UserError(f"can't write {path}: {reason}") if reason else None


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
