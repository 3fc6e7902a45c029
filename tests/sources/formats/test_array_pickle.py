"""A pickle that asks for more memory than it is long ends in one line, and takes none."""

import pickle
import resource
import struct
from pathlib import Path

import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.array_pickle import read_arrays

BOMBS = {
    "BINBYTES8": b"\x80\x04\x8e" + struct.pack("<Q", 20 << 30) + b"x.",
    "BYTEARRAY8": b"\x80\x05\x96" + struct.pack("<Q", 20 << 30) + b"x.",
    "BINUNICODE8": b"\x80\x04\x8d" + struct.pack("<Q", 20 << 30) + b"x.",
    "BINBYTES": b"\x80\x03B" + struct.pack("<I", (1 << 32) - 1) + b"x.",
    "LONG_BINPUT": b"\x80\x02]r" + struct.pack("<I", 1 << 31) + b".",
    "PUT": b"]p2147483648\n.",
    "LONG4": b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b"\x01.",
    "LONG4, negative": b"\x80\x02\x8b" + struct.pack("<i", -5) + b"\x01.",
    "many digits": b"L" + b"9" * 6_000 + b"L\n.",
    "FRAME": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b".",
    "marks": b"(" * 200_000 + b".",
    "array of its own memory": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nJ\x00\x00\x00\x7f\x85C\x01ftR.",
    "empty": b"",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_no_memory(name: str, tmp_path: Path):
    path = tmp_path / "im.pk"
    path.write_bytes(BOMBS[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match=r"^im\.pk[^\n]*$"):
        read_arrays(path, ("a",))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_are_read_from_every_protocol(protocol: int, tmp_path: Path):
    arrays = {"a": np.arange(12.0).reshape(3, 4), "b": np.arange(5, dtype=np.int16)}
    (tmp_path / "im.pk").write_bytes(pickle.dumps(arrays, protocol=protocol))
    for key, found in read_arrays(tmp_path / "im.pk", ("a", "b")).items():
        np.testing.assert_array_equal(found, arrays[key])
