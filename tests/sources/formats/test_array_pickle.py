"""A pickle that asks for more memory than it is long ends in one line, and takes none."""

import pickle
import resource
import struct
from pathlib import Path

import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.array_pickle import Array, StatedType, numbers, read_arrays

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
    "array of memory": b"\x80\x02cnumpy\nndarray\nJ\x00\x00\x00\x5f\x85U\x02u1\x86R.",
    "array of memory, by its class": b"\x80\x02}U\x01acnumpy\nndarray\nJ\x00\x00\x00\x5f\x85U\x02u1\x86\x81s.",
    "tuples as a name": b"\x80\x02})" + b"\x85" * 99_000 + b"Ns.",
    "numbers as names": b"\x80\x02}" + (b"I" + b"9" * 4_000 + b"\nNs") * 3_000 + b".",
    "long number as a name": b"\x80\x02}\x8b" + struct.pack("<i", 100_000) + b"\x7f" * 100_000 + b"Ns.",
    "names that are long": b"\x80\x02}" + b"".join(b"X\x88\x13\x00\x00" + b"%05000dNs" % n for n in range(50)) + b".",
    "names of control signs": b"\x80\x02}X\x04\x00\x00\x00\n\x1b[3Ns.",
    "code of a long name": b"\x80\x02c" + b"x" * 100_000 + b"\n\x1b[31m\n.",
    "frame": b"\x80\x05\x95" + b"\xff" * 8 + b"N.",
    "change of a function": b"\x80\x02}U\x01ac_codecs\nencode\nN}U\x0c__defaults__)s\x86bs.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_no_memory(name: str, tmp_path: Path):
    path = tmp_path / "im.pk"
    path.write_bytes(BOMBS[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match=r"^im\.pk[^\n\x1b]{1,300}$"):
        read_arrays(path, ("a",))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_are_read_from_every_protocol(protocol: int, tmp_path: Path):
    arrays = {"a": np.arange(12.0).reshape(3, 4), "b": np.arange(5, dtype=np.int16)}
    (tmp_path / "im.pk").write_bytes(pickle.dumps(arrays, protocol=protocol))
    for key, found in read_arrays(tmp_path / "im.pk", ("a", "b")).items():
        np.testing.assert_array_equal(found, arrays[key])


@pytest.mark.parametrize(
    "state",
    [
        (1, (1 << 40,), StatedType("f8"), False, b"\0" * 8),
        (1, (-1,), StatedType("f8"), False, b"\0" * 8),
        (1, (1,) * 65, StatedType("f8"), False, b"\0" * 8),
        (1, (1,), StatedType("(1000,1000)f8"), False, b"\0" * 8),
        (1, (1,), StatedType("O8"), False, [None]),
        (1, (True,), StatedType("f8"), False, b"\0" * 8),
        (1, "a", "f8", None, None),
    ],
)
def test_an_array_that_lies_about_itself_is_refused(state: tuple[object, ...]):
    array = Array()
    array.__setstate__(state)
    with pytest.raises(SourceError, match=r"^im\.pk: a is [^\n]{1,100}$"):
        numbers(Path("im.pk"), "a", array)
