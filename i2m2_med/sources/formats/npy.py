"""NumPy's array files, whoever wrote them: one array of numbers, mapped into memory, no pickle, no archive."""

from pathlib import Path

import numpy as np

from i2m2_med.errors import SourceError


def open_npy(path: Path, kinds: str, name: str) -> np.ndarray:
    """Return a memory-mapped array. Raises SourceError for what is no whole .npy file, or holds other kinds of values.

    kinds: NumPy's letters of the kinds of numbers that are taken (`f` floats, `i` and `u` integers, `c` complex); name: what
    messages call the file.
    """
    try:  # not numpy.load, which takes archives (.npz) and pickles for what they are, not for what they are called
        array = np.lib.format.open_memmap(path, mode="r")
    except (
        Exception
    ) as error:  # a header that is no header raises kinds of all sorts, from the tokenizer's to the map's
        raise SourceError(
            f"{name} is gone, or not a whole .npy array of numbers; write it again with numpy.save"
        ) from error
    if array.dtype.kind not in kinds or array.dtype.names is not None:
        raise SourceError(f"{name} holds {array.dtype!s:.40}; {describe(kinds)} are needed")
    if not array.size:
        raise SourceError(f"{name} holds an array of shape {array.shape!s:.60}: no value")
    return array


def describe(kinds: str) -> str:
    """Return kinds of numbers in words."""
    words = {"f": "floats", "i": "integers", "u": "integers", "c": "complex numbers"}
    return " or ".join(dict.fromkeys(words[kind] for kind in kinds))
