"""Nothing half-written, nothing for other people's eyes: files are made beside their place and renamed into it when whole."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from i2m2_med.disk_errors import writing
from i2m2_med.errors import SourceError, UserError


@contextmanager
def private() -> Generator[None]:
    """Let nobody but this user read or enter what is written meanwhile, whatever the umask: folders 0700, files 0600.

    Holds for libraries and worker processes that are started inside, too. It is the whole process's setting, not a thread's.
    """
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def replace_file(path: Path) -> Generator[Path]:
    """Yield a path beside `path` to write; on success it replaces `path`, on any error it is gone."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            to_disk(beside)
            beside.replace(path)
    finally:
        remove(beside)


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


def remove(path: Path) -> None:
    """Remove a file if it can be removed: where the disk is gone, the first error is the one to report."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


@contextmanager
def sole_user(folder: Path, waiting: Callable[[], None] | None = None) -> Generator[None]:
    """Lock `folder` for this process.

    Where another process has it: raise UserError, or, where `waiting` is given, call it once and wait.
    """
    busy = UserError(f"{folder} is in use by another run; wait for it, or name another folder")
    with exclusive(folder / ".lock", None if waiting else busy, waiting):
        yield


@contextmanager
def exclusive(
    path: Path, busy: UserError | None = None, waiting: Callable[[], None] | None = None, patience: float = 0.0
) -> Generator[None]:
    """Hold the lock file `path` alone; the operating system frees it when the process ends, however that happens.

    Where another process holds it for longer than `patience` (seconds): raise `busy`, or, where that is not given, call `waiting`
    once and wait.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, mode=0o600)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=patience)
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


def write_json(path: Path, content: Any) -> None:
    """Write `content` whole or not at all, keys in their order, numbers as Python prints them."""
    with replace_file(path) as beside:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")


def sha256_of(path: Path) -> str:
    """Return the file's content hash, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content: Any) -> str:
    """Return a hash over a JSON-able value that does not depend on key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def existing_folder(path: Path, what: str) -> Path:
    """Return `path` if it is a folder, else raise a SourceError that says what was to be there."""
    if not path.is_dir():
        raise SourceError(f"{path} is not a folder; {what}")
    return path
