"""Tensors kept on disk to be read again: a safetensors file with a checksum, so that nothing is read that differs from what was written."""

import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

CHECKSUM = "crc32"
"""In a file's metadata; a file without it is of an earlier version, and not read."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], key: str = "") -> None:
    """Write tensors that are read again under the same key. Raises KeyError for a kind of number that safetensors does not know."""
    save_file(dict(tensors), path, {CHECKSUM: checksum(tensors, key)})


def read_tensors(path: Path, key: str = "") -> dict[str, Tensor] | None:
    """Return the tensors written under a key, mapped; None where there are none, or not these bytes."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
            expected = (file.metadata() or {}).get(CHECKSUM)
    except (OSError, SafetensorError):
        return None
    return tensors if checksum(tensors, key) == expected else None


def checksum(tensors: Mapping[str, Tensor], key: str) -> str:
    """Return CRC-32 over a key and tensors: a file that got under another name is noticed too."""
    whole = zlib.crc32(key.encode())
    for name, tensor in sorted(tensors.items()):
        whole = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), whole)
        whole = zlib.crc32(tensor.flatten().view(torch.uint8).numpy().data, whole)
    return f"{whole:08x}"
