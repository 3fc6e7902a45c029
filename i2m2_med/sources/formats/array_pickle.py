"""Read a pickled dict of NumPy arrays without running what a pickle may run.

Only the few names that NumPy's own arrays are pickled with are known here; any other name in the file is refused before
anything of it is called. Files of Python 2 and 3, NumPy 1 and 2 are read.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.errors import SourceError

MOST_OPCODES = 100_000
PLACES = ("PUT", "BINPUT", "LONG_BINPUT")
LONGEST_INTEGER = 64
"""Bits of a whole number."""
MOST_AXES = 32
NUMBERS = re.compile(r"[<>=|]?(b1|[iu][1248]|f(2|4|8|16))")
"""Codes of NumPy's kinds of numbers."""


class Refused(pickle.UnpicklingError):
    """A name that no array needs."""


class StatedType:
    """A dtype as a pickle states it. What a stranger states is not done to NumPy's own objects: those live as long as the process."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else str(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the byte order; what else a state holds, numbers don't need."""
        self.code = f"{state[1]}{self.code}"


class Array:
    """An array as a pickle states it: its memory is that of the file, until `numbers` has checked what is said of it."""

    def __init__(self, *_: object) -> None:
        self.shape, self.kind, self.fortran, self.data = (), None, False, None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take shape, kind, order and content."""
        self.shape, self.kind, self.fortran, self.data = state[-4:]


class Number:
    """A single NumPy number: nothing that is read."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        """Nothing is kept."""


class Fixed:
    """A function that a pickle may call, and can't change (`BUILD` sets the attributes of what it is given)."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: object) -> Any:
        """Call it."""
        return self.function(*arguments)

    def __setstate__(self, _: object) -> None:
        """Refuse a state."""
        raise Refused("a change of what it calls")


def plain_encode(text: str, encoding: str) -> bytes:
    """Stand in for `_codecs.encode` in an old pickle of bytes: Latin-1, and nothing else."""
    if encoding not in {"latin1", "latin-1"}:
        raise Refused("another codec than Latin-1")
    return text.encode("latin1")


def from_buffer(data: object, kind: object, shape: object, order: object) -> Array:
    """Stand in for NumPy's `_frombuffer`, which rebuilds an array of pickle protocol 5."""
    array = Array()
    array.__setstate__((shape, kind, order == "F", data))
    return array


KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): Fixed(StatedType),
    ("_codecs", "encode"): Fixed(plain_encode),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Fixed(Array) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): Fixed(Number) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): Fixed(from_buffer) for core in ("core", "_core")},
}


class ArrayUnpickler(pickle.Unpickler):
    """Knows NumPy arrays and plain containers, and no other name."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Return the stand-in for a name in the pickle. Raises Refused for any other name."""
        try:
            return KNOWN[module_name, global_name]
        except KeyError:
            raise Refused(f"{module_name}.{global_name}".encode("unicode_escape").decode()[:80]) from None


def check_opcodes(content: bytes) -> None:
    """Refuse a pickle that asks for more memory than it is long: numbers of memory places, and lengths beyond its end.

    `pickletools` reads a length and then no more than there is, where the unpickler would make room for it first.
    """
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if count > MOST_OPCODES or (opcode.name in PLACES and int(argument or 0) > MOST_OPCODES):
            raise pickle.UnpicklingError("more steps or memory places than arrays need")
        if opcode.name in {"INT", "LONG", "LONG1", "LONG4"} and int(argument or 0).bit_length() > LONGEST_INTEGER:
            raise pickle.UnpicklingError("a whole number larger than arrays need")


def read_arrays(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays under `keys` as float64. Raises SourceError where the file holds anything but numbers, or lacks a key."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise SourceError(f"{path} is not there; it should be MultiBench's im.pk") from error
    try:
        check_opcodes(data)
        content = ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    except Refused as error:
        raise SourceError(
            f"{path.name} is refused: it asks for {error}, and only NumPy arrays are read from a pickle; nothing of it was run"
        ) from None
    except Exception as error:  # the unpickler raises what the called functions do, and a dozen kinds of its own
        raise SourceError(
            f"{path.name} ends in the middle or is no pickle of arrays ({type(error).__name__}); copy it again"
        ) from error
    if not isinstance(content, dict):
        raise SourceError(f"{path.name} holds a {type(content).__name__}, not a dict of arrays")
    missing = [key for key in keys if key not in content]
    if missing:
        words = [word for word in content if isinstance(word, str) and word.isidentifier() and len(word) < 40]
        raise SourceError(f"{path.name} lacks {', '.join(missing)} (it has {', '.join(words[:10]) or 'no names'})")
    return {key: numbers(path, key, content[key]) for key in keys}


def numbers(path: Path, key: str, value: Any) -> np.ndarray:
    """One array as float64, memory of its own, if its content is as long as its shape and kind say."""
    if not isinstance(value, Array):
        raise SourceError(f"{path.name}: {key} is a {type(value).__name__}, not an array of numbers")
    if not isinstance(value.kind, StatedType) or not NUMBERS.fullmatch(value.kind.code):
        raise SourceError(f"{path.name}: {key} is an array of something else, not an array of numbers")
    data = value.data.encode("latin1", "replace") if isinstance(value.data, str) else value.data
    shape: Any = value.shape
    axes = isinstance(shape, tuple) and len(shape) <= MOST_AXES and all(type(n) is int and n >= 0 for n in shape)
    dtype = np.dtype(value.kind.code)
    if not axes or not isinstance(data, bytes | bytearray) or math.prod(shape) * dtype.itemsize != len(data):
        raise SourceError(f"{path.name}: {key} is not as long as its shape says; copy it again")
    return np.ndarray(shape, dtype, data, order="F" if value.fortran is True else "C").astype(np.float64)
