"""Errors of disks and file systems, in words: a full disk, a lost network share or a folder in the way is the user's to mend.

Libraries tell of them in many ways: NumPy and torch raise a full disk without its number, polars and safetensors as an error of
their own. So the number is looked for, then the system's words, and last the disk itself is asked.
"""

import errno
import os
import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from i2m2_med.errors import UserError, causes

REASONS = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file system, or a limit of this account, allows no file of that size",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "this account has no right to it",
    errno.EPERM: "this account has no right to it",
    errno.EEXIST: "a file, or a link that points nowhere, stands where a folder is needed",
    errno.ENOTDIR: "a file, or a link that points nowhere, stands where a folder is needed",
    errno.EISDIR: "a folder stands where a file is needed",
    errno.ENOTEMPTY: "a folder that holds something stands where a file is needed",
    errno.ELOOP: "a link stands where a file or folder is needed",
    errno.ENAMETOOLONG: "the name is too long for the file system",
    errno.EILSEQ: "the file system takes no such name",
    errno.EXDEV: "it lies on another disk than the files beside it",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine",
    errno.EBUSY: "it is in use",
    errno.ETXTBSY: "it is in use",
    errno.EIO: "the disk reports an input/output error",
    errno.ENXIO: "the disk is gone",
    errno.ENODEV: "the disk is gone",
    errno.ESTALE: "the network file system has lost it (stale handle); mount it again",
    errno.ENOTCONN: "the network file system is not connected",
    errno.EHOSTDOWN: "its server is down",
    errno.EHOSTUNREACH: "its server can't be reached",
    errno.ETIMEDOUT: "its server does not answer",
    errno.EREMOTEIO: "the network file system reports an input/output error",
    errno.ENOLCK: "the file system gives out no locks",
}
"""By error number. Every other one is a bug, or a file that has vanished."""

VANISHED = "a folder or file on the way is gone, or is a link that points nowhere"
WORDS = {
    os.strerror(number): number
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE)
}
NUMBERED = re.compile(r"\b(?:os error|errno)\s*=?\s*(\d+)", re.IGNORECASE)
"""How Rust (polars, safetensors) and HDF5 quote an error number."""
PROBE = 2**20
"""Bytes that a disk must take to be not full."""


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turn errors of the disk, while `path` is being written, into a UserError that says which file and why."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        plain = plain_disk_error(error, path)
        if plain is None and isinstance(error, FileNotFoundError):
            plain = UserError(f"{subject(error, path)}: {VANISHED}")
        if plain is None and may_come_from_a_disk(error):
            number = ask_disk(path.parent)
            plain = UserError(f"can't write {path}: {REASONS[number]}") if number in REASONS else None
        if plain is None:
            raise
        raise plain from error


def plain_disk_error(error: BaseException, path: Path) -> UserError | None:
    """Return the user's error where the disk, or what lies on it, is the cause of `error`; None for any other error."""
    number = number_of(error)
    return UserError(f"{subject(error, path)}: {REASONS[number]}") if number in REASONS else None


def number_of(error: BaseException) -> int | None:
    """Return the system's error number that an error, or one of its causes, holds or quotes."""
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno:
            return cause.errno
        number = quoted_number(str(cause)) if may_come_from_a_disk(cause) else None
        if number:
            return number
    return None


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, is that of a full disk or an exhausted quota."""
    return number_of(error) in (errno.ENOSPC, errno.EDQUOT)


def quoted_number(words: str) -> int | None:
    """Return the error number that a library's message quotes, by number or in the system's words."""
    quoted = NUMBERED.search(words)
    if quoted:
        return int(quoted[1])
    return next((number for text, number in WORDS.items() if text in words), None)


def subject(error: BaseException, path: Path) -> str:
    """Return what can't be written, or, where the error names a file elsewhere, what can't be used."""
    name = getattr(error, "filename", None)
    if isinstance(name, str | bytes) and name:
        other = Path(os.fsdecode(name))
        if other != path and path.parent not in other.parents and other not in path.parents:
            return f"can't use {other}"
    return f"can't write {path}"


def may_come_from_a_disk(error: BaseException) -> bool:
    """Return whether an error is the system's, torch's (RuntimeError), or of a library's own class."""
    library = type(error).__module__.partition(".")[0] not in {"builtins", "i2m2_med", "pipelines"}
    return library or isinstance(error, OSError | RuntimeError)


def ask_disk(folder: Path) -> int | None:
    """Write a file of `PROBE` bytes into `folder` and return the error number that it meets; None if it can be written."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        with probe.open("wb") as file:
            file.write(os.urandom(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return None
