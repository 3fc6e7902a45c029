"""HDF5 files that came from elsewhere: opened read-only, kept open per worker, refused where they point outside or declare too much."""

import os
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from i2m2_med.errors import SourceError

MAX_BYTES = 2**30
"""More than any slice that is read at once can need (32 coils of 2048 × 2048 complex64 are half of it)."""
MOST_PACKED, SMALL = 1032, 2**24
"""No compression that HDF5 knows packs better than 1:1032; what is small may be anything."""
OPEN_FILES = 8
"""Files that one worker keeps open: slices of a volume are mostly read in turn."""


@dataclass
class OpenFile:
    """A file as this process holds it open, with what was already looked up in it."""

    path: Path
    stamp: tuple[int, int, int]
    """Process, size and time of change: a handle must not cross a fork, nor outlive its file's content."""
    file: h5py.File
    arrays: dict[str, h5py.Dataset] = field(default_factory=dict[str, h5py.Dataset])
    starts: dict[str, int | None] = field(default_factory=dict[str, int | None])
    """By array, the byte at which it starts, where it lies in one piece as memory would hold it."""
    kept: dict[str, Any] = field(default_factory=dict[str, Any])
    """Objects that readers keep of the file, such as a parsed index."""

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.name

    def __contains__(self, name: str) -> bool:
        return name in self.file

    def array(self, name: str) -> h5py.Dataset:
        """An array that lies in this very file. Raises SourceError if it is missing, elsewhere, or too large to read."""
        if name not in self.arrays:
            self.arrays[name] = _checked(self, name)
        return self.arrays[name]

    def read(self, name: str, rows: Any = ()) -> np.ndarray:
        """Some rows of an array, or all of it. Raises SourceError where the bytes are not there."""
        array = self.array(name)
        try:
            straight = self._row(array, rows) if isinstance(rows, int) else None
            return np.asarray(array[rows]) if straight is None else straight
        except (OSError, RuntimeError) as error:
            raise SourceError(f"{self.name} is damaged: '{name}' can't be read to its end. Get it again.") from error

    def _row(self, array: h5py.Dataset, row: int) -> np.ndarray | None:
        """One row as its bytes lie in the file, in half of HDF5's time; None where they lie otherwise. Raises OSError where they end early."""
        if array.name not in self.starts:
            self.starts[str(array.name)] = _start(array)
        start = self.starts[str(array.name)]
        if start is None or not 0 <= row < array.shape[0]:
            return None
        cells = np.empty(array.shape[1:], array.dtype)
        fd, place = self.file.id.get_vfd_handle(), start + row * cells.nbytes
        if os.preadv(fd, [cells], place) < cells.nbytes:  # pyright: ignore[reportArgumentType]  (NumPy arrays are buffers)
            raise OSError("the file ends before the row does")  # HDF5 would give zeros
        return cells

    def attribute(self, name: str) -> str | None:
        """An attribute of the file as text; an array counts as its one value. Raises SourceError where it holds several."""
        value: Any = self.file.attrs.get(name)
        if isinstance(value, h5py.Empty):
            return None
        if isinstance(value, np.ndarray):
            values = set(value.ravel().tolist())
            if len(values) > 1:
                raise SourceError(f"{self.name}: the attribute {name} holds {len(values)} values; expected one.")
            value = values.pop() if values else None
        return value.decode() if isinstance(value, bytes) else None if value is None else str(value)


_open: OrderedDict[Path, OpenFile] = OrderedDict()


def open_file(path: Path) -> OpenFile:
    """The open file, the same again within one process. Raises SourceError if it is gone or is no whole HDF5 file."""
    stamp = _stamp(path)
    known = _open.pop(path, None)
    if known is None or known.stamp != stamp:
        known = OpenFile(path, stamp, _fresh(path))
    _open[path] = known
    while len(_open) > OPEN_FILES:
        _close(_open.popitem(last=False)[1])
    return known


def close_files() -> None:
    """Close what this process keeps open."""
    while _open:
        _close(_open.popitem()[1])


def _close(known: OpenFile) -> None:
    if known.stamp[0] == os.getpid():
        known.file.close()


def _checked(known: OpenFile, name: str, nested: bool = False) -> h5py.Dataset:
    """An array of the file. nested: a virtual array is put together from it, so it may not be one itself."""
    parts = name.split("/")
    for depth in range(len(parts)):
        link = known.file.get("/".join(parts[: depth + 1]), getlink=True)
        if link is None:
            has = ", ".join(sorted(map(str, known.file))) or "nothing"
            raise SourceError(f"{known.name} lacks '{name}' (it has {has}).")
        if not isinstance(link, h5py.HardLink):
            raise SourceError(f"{known.name}: '{name}' is a link to another place. Store the data in the file itself.")
    array = known.file[name]
    if not isinstance(array, h5py.Dataset):
        raise SourceError(f"{known.name}: '{name}' is a group, not an array.")
    if array.is_virtual and nested:
        raise SourceError(
            f"{known.name}: '{name}' is virtual, and another array is made of it. Store the data in one file."
        )
    if array.is_virtual:
        return _not_huge(known, array, known.stamp[1] + _sources_size(known, array))
    if array.external:
        raise SourceError(f"{known.name}: '{name}' keeps its data in another file. Store the data in the file itself.")
    return _not_huge(known, array)


def _start(array: h5py.Dataset) -> int | None:
    """Where in the file an array starts that is neither chunked, packed nor of another byte order or layout; else None."""
    whole = (
        array.ndim > 1 and array.chunks is None and not array.is_virtual and array.id.get_storage_size() == array.nbytes
    )
    return array.id.get_offset() if whole and array.id.get_type() == h5py.h5t.py_create(array.dtype) else None


def _sources_size(known: OpenFile, array: h5py.Dataset) -> int:
    """Bytes of the files that a virtual array is put together from.

    Raises SourceError where one is missing (HDF5 would read zeros), lies outside the file's folder, or keeps its own data
    elsewhere, or where they don't fill the array.
    """
    sources = array.virtual_sources()
    size = 0
    for file_name, name in {(source.file_name, source.dset_name.strip("/")) for source in sources}:
        if file_name == ".":
            _checked(known, name, nested=True)
            continue
        path = _beside(known, file_name)
        with _fresh(path) as file:
            _checked(OpenFile(path, _stamp(path), file), name, nested=True)
        size += path.stat().st_size
    if sum(source.vspace.get_select_npoints() for source in sources) != array.size:
        raise SourceError(f"{known.name}: '{array.name}' is not filled by the files that it is put together from.")
    return size


def _beside(known: OpenFile, file_name: str) -> Path:
    """A file that a virtual array names. Raises SourceError where it is not in the folder of the array's own file."""
    home = known.path.resolve().parent
    path = (home / file_name).resolve()
    if "%" in file_name or not path.is_relative_to(home) or not path.is_file():
        raise SourceError(
            f"{known.name} keeps its data in another file, which is not in its folder. Put it there, or store the data in the "
            "file itself."
        )
    return path


def files_behind(path: Path, arrays: Iterable[str]) -> list[Path]:
    """The other files of its folder that virtual arrays of an HDF5 file are put together from; none where it can't be read.

    What the readers refuse of such files is not judged here.
    """
    try:
        known = open_file(path)
        found = [known.file[name] for name in arrays if name in known.file]
        names = {
            source.file_name
            for one in found
            if isinstance(one, h5py.Dataset) and one.is_virtual
            for source in one.virtual_sources()
        } - {"."}
        return sorted({_beside(known, name) for name in names})
    except (SourceError, OSError, KeyError, RuntimeError):
        return []


def _not_huge(known: OpenFile, array: h5py.Dataset, held: int | None = None) -> h5py.Dataset:
    """Refuse an array of which one row (first axis), or one compressed chunk, would not fit in memory."""
    shape = array.shape[1:] if array.ndim > 1 else array.shape
    cells = max(float(np.prod(shape, dtype=float)), float(np.prod(array.chunks or (), dtype=float)))
    size = cells * array.dtype.itemsize
    if size > MAX_BYTES:
        raise SourceError(
            f"{known.name}: '{array.name}' declares the shape {array.shape}: {size / 2**30:.1f} GiB to read at once."
        )
    if float(np.prod(array.shape, dtype=float)) * array.dtype.itemsize > MOST_PACKED * (held or known.stamp[1]) + SMALL:
        raise SourceError(
            f"{known.name} is damaged: '{array.name}' declares the shape {array.shape}, far more than the file can hold."
        )
    return array


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"{path} is gone or can't be read. Put it back, or run `i2m2 prepare` again.") from error
    return os.getpid(), status.st_size, status.st_mtime_ns


def _fresh(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking="best-effort")  # read-only and network file systems know no locks
    except OSError as error:
        reason = str(error).partition("(")[2].rstrip(")") or error.__class__.__name__
        raise SourceError(f"{path.name} is truncated or no HDF5 file ({reason}). Get it again.") from error
