"""Rows read by their place in the file are what HDF5 says they are, however the array lies there."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.hdf5 import OpenFile, close_files, open_file

VALUES = (np.arange(105).reshape(3, 5, 7) * (1 + 2j)).astype(np.complex64)
SWAPPED = np.dtype([("i", "<f4"), ("r", "<f4")])


def written(path: Path, userblock: int = 0) -> OpenFile:
    """A file of the same values in every layout that a writer may choose."""
    close_files()
    with h5py.File(path, "w", userblock_size=userblock) as file:
        file["plain"], file["real"], file["wide"] = VALUES, VALUES.real, VALUES.astype(np.complex128)
        file["big endian"], file["flat"] = VALUES.astype(">c8"), VALUES.ravel()
        file["swapped"] = np.zeros((3, 5), SWAPPED)
        file.create_dataset("chunked", data=VALUES, chunks=(1, 5, 7))
        file.create_dataset("packed", data=VALUES, compression="gzip")
        file.create_dataset("never written", (3, 5, 7), np.complex64)
    return open_file(path)


@pytest.mark.parametrize("userblock", [0, 512])
def test_a_row_is_what_hdf5_reads(tmp_path: Path, userblock: int) -> None:
    file = written(tmp_path / "volume.h5", userblock)
    for name in map(str, file.file):
        for row in (0, 2, -1):
            expected = np.asarray(file.array(name)[row])
            np.testing.assert_array_equal(file.read(name, row), expected, name)
            assert file.read(name, row).dtype == expected.dtype
    assert [name for name, start in file.starts.items() if start is not None] == [
        "/big endian",
        "/plain",
        "/real",
        "/swapped",
        "/wide",
    ]
    with pytest.raises(IndexError):
        file.read("plain", 3)
    close_files()


def test_a_row_that_is_cut_off_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "volume.h5"
    file = written(path)
    file.read("plain", 2)
    start = file.starts["/plain"]
    assert start is not None
    with path.open("r+b") as raw:
        raw.truncate(start + VALUES.nbytes - 1)
    with pytest.raises(SourceError, match=r"volume\.h5 is damaged: 'plain' can't be read to its end"):
        file.read("plain", 2)
    close_files()
