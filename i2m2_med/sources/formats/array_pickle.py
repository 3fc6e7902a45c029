"""Read a pickled dict of NumPy arrays without running what a pickle may run.

Only the few names that NumPy's own arrays are pickled with are known here; any other name in the file is refused before
anything of it is called. Files of Python 2 and 3, NumPy 1 and 2 are read.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.errors import SourceError

MOST_OPCODES = 100_000
PLACES = ("PUT", "BINPUT", "LONG_BINPUT")


class Refused(pickle.UnpicklingError):
    """A name that no array needs."""


def plain_encode(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` is to an old pickle of bytes: Latin-1, and nothing else."""
    if encoding not in {"latin1", "latin-1"}:
        raise Refused(f"the codec {encoding}")
    return text.encode("latin1")


def from_buffer(
    buffer: bytes | bytearray | memoryview, dtype: np.dtype, shape: tuple[int, ...], order: str
) -> np.ndarray:
    """What NumPy rebuilds an array of pickle protocol 5 with."""
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")


def reconstruct(_: type, shape: tuple[int, ...], kind: bytes | str) -> np.ndarray:
    """An empty array that its state is then set on; never a subclass, and never with memory of its own."""
    if tuple(shape) != (0,):
        raise Refused("an array that is made before its content")
    return np.ndarray(shape, kind.decode() if isinstance(kind, bytes) else kind)


def scalar(dtype: np.dtype, content: bytes | str) -> Any:
    """A NumPy number."""
    return np.frombuffer(content.encode("latin1") if isinstance(content, str) else content, dtype=dtype)[0]


KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): plain_encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): from_buffer for core in ("core", "_core")},
}


class ArrayUnpickler(pickle.Unpickler):
    """Knows NumPy arrays and plain containers, and no other name."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """What a name in the pickle stands for."""
        try:
            return KNOWN[module_name, global_name]
        except KeyError:
            raise Refused(f"{module_name}.{global_name}") from None


def check_opcodes(content: bytes) -> None:
    """Refuse a pickle that asks for more memory than it is long: numbers of memory places, and lengths beyond its end.

    `pickletools` reads a length and then no more than there is, where the unpickler would make room for it first.
    """
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if count > MOST_OPCODES or (opcode.name in PLACES and int(argument) > MOST_OPCODES):
            raise pickle.UnpicklingError("more steps or memory places than arrays need")


def read_arrays(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays under `keys` as float64. Raises SourceError where the file holds anything but numbers, or lacks a key."""
    try:
        data = path.read_bytes()
        check_opcodes(data)
        content = ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    except Refused as error:
        raise SourceError(
            f"{path.name} is refused: it asks for {error}, and only NumPy arrays are read from a pickle; nothing of it was run"
        ) from None
    except FileNotFoundError as error:
        raise SourceError(f"{path} is not there; it should be MultiBench's im.pk") from error
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        IndexError,
        MemoryError,
        UnicodeError,
    ) as error:
        raise SourceError(
            f"{path.name} ends in the middle or is no pickle of arrays ({type(error).__name__}); copy it again"
        ) from error
    if not isinstance(content, dict):
        raise SourceError(f"{path.name} holds a {type(content).__name__}, not a dict of arrays")
    missing = [key for key in keys if key not in content]
    if missing:
        raise SourceError(f"{path.name} lacks {', '.join(missing)} (it has {', '.join(map(str, content))})")
    return {key: numbers(path, key, content[key]) for key in keys}


def numbers(path: Path, key: str, found: Any) -> np.ndarray:
    """One array as float64, memory of its own."""
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub":
        kind = f"array of {found.dtype}" if isinstance(found, np.ndarray) else type(found).__name__
        raise SourceError(f"{path.name}: {key} is a {kind}, not an array of numbers")
    return found.astype(np.float64)
