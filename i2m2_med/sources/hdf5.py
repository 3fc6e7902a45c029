"""HDF5 files that came from elsewhere: opened read-only, kept open per worker, and refused where they point outside or declare too much."""

import os
from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np

from i2m2_med.errors import SourceError

MAX_SLICE_BYTES = 2**30
"""More than any slice that is read at once can need (32 coils of 2048 × 2048 complex64 are half of it)."""
OPEN_FILES = 8
"""Files that one worker keeps open: slices of a volume are mostly read in turn."""

_open: OrderedDict[Path, tuple[int, tuple[int, int], h5py.File]] = OrderedDict()


def open_file(path: Path) -> h5py.File:
    """The open file, the same handle again within one process. Raises SourceError if it is gone or is no whole HDF5 file."""
    stamp = _stamp(path)
    pid, known, handle = _open.pop(path, (0, (0, 0), None))
    if handle is None or pid != os.getpid() or known != stamp:  # a handle must not cross a fork, or outlive its file
        handle = _fresh(path)
    _open[path] = (os.getpid(), stamp, handle)
    while len(_open) > OPEN_FILES:
        owner, _, oldest = _open.popitem(last=False)[1]
        if owner == os.getpid():
            oldest.close()
    return handle


def close_files() -> None:
    """Close what this process keeps open."""
    while _open:
        owner, _, handle = _open.popitem()[1]
        if owner == os.getpid():
            handle.close()


def dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """A data set that lies in this very file, and one slice (first axis) of which fits in memory."""
    path = Path(file.filename)
    parts = name.split("/")
    for depth in range(len(parts)):
        link = file.get("/".join(parts[: depth + 1]), getlink=True)
        if link is None:
            raise SourceError(f"{path.name} lacks '{name}' (it has {', '.join(sorted(map(str, file))) or 'nothing'}).")
        if not isinstance(link, h5py.HardLink):
            raise SourceError(f"{path.name}: '{name}' is a link to another place. Store the data in the file itself.")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise SourceError(f"{path.name}: '{name}' is a group, not an array.")
    if found.external or found.is_virtual:
        raise SourceError(f"{path.name}: '{name}' keeps its data in another file. Store the data in the file itself.")
    _refuse_huge(found, path.name)
    return found


def read_slice(array: h5py.Dataset, index: int | tuple[()]) -> np.ndarray:
    """One slice (first axis), or the whole with `()`. Raises SourceError where the bytes are not there."""
    try:
        return np.asarray(array[index])
    except (OSError, RuntimeError) as error:
        raise SourceError(
            f"{Path(array.file.filename).name} is damaged: '{array.name}' can't be read. Get it again."
        ) from error


def _refuse_huge(array: h5py.Dataset, name: str) -> None:
    cells = (
        int(np.prod(array.shape[1:], dtype=np.float64))
        if array.ndim > 1
        else int(np.prod(array.shape, dtype=np.float64))
    )
    chunk = int(np.prod(array.chunks, dtype=np.float64)) if array.chunks else 0
    size = max(cells, chunk) * array.dtype.itemsize
    if size > MAX_SLICE_BYTES:
        raise SourceError(
            f"{name}: '{array.name}' declares the shape {array.shape}, {size / 2**30:.0f} GiB to read at once."
        )


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"{path} is gone or can't be read. Put it back, or run `i2m2 prepare` again.") from error
    return status.st_size, status.st_mtime_ns


def _fresh(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)  # locks fail on read-only and network file systems
    except OSError as error:
        raise SourceError(f"{path.name} is truncated or no HDF5 file ({_first_line(error)}). Get it again.") from error


def _first_line(error: OSError) -> str:
    text = str(error)
    return text[text.find("(") + 1 :].rstrip(")") if "(" in text else text
