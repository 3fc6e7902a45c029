"""Gzip's own checksum: who reads an image out of such a file stops where its pixels end, before the checksum, and takes damage for pixels."""

import gzip
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from i2m2_med.errors import SourceError

ENDINGS = (".gz", ".mgz")
AT_ONCE = 1 << 20
MOST = 1 << 34
"""Bytes that are unpacked: more than an image may have."""


def is_packed(path: Path) -> bool:
    """Return whether a file is packed, by its name."""
    return path.name.lower().endswith(ENDINGS)


@contextmanager
def unpacked(path: Path) -> Generator[gzip.GzipFile]:
    """Yield a packed file to read from, and read on to its end. Raises SourceError where it differs from its checksum or length."""
    try:
        with gzip.open(path) as file:
            yield file
            while file.read(AT_ONCE):
                if file.tell() > MOST:
                    raise SourceError(f"{path.name} holds more than {MOST >> 30} GiB, packed")
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path.name} is truncated or damaged. Get it again.") from error


def check_gzip(path: Path) -> None:
    """Raise SourceError for a packed file that differs from its checksum or length; looked at once as long as it stays the same."""
    if is_packed(path):
        status = path.stat()
        _check(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=100_000)
def _check(path: Path, size: int, changed: int, touched: int) -> None:  # noqa: ARG001
    with unpacked(path):
        pass
