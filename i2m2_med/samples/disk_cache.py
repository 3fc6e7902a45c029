"""Samples after their deterministic transforms, kept on disk: read and decoded once, whoever trains on them, with any seed or fold.

A sample's key is what it is made of: its record's paths and numbers, size and time of each file, all files of a folder; the
folder's name is a hash of the transforms, of the files that they name, of plugins' code and of ours. Nothing is reused under
another key, and a file that a kill left cut off is made again. (MONAI's PersistentDataset keys by the record alone, and moves
its files across file systems in a way that a kill leaves half done for good.)
"""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from i2m2_med.disk_errors import writing
from i2m2_med.files import digest, remove

INSIDE = "::"
"""Between a file and what is meant inside it."""
Sample = Mapping[str, Any]


class DiskCache:
    """Tensors by sample, a safetensors file each. Processes may share it: a file is renamed into its place when whole."""

    def __init__(self, folder: Path, made: Collection[str]) -> None:
        """made: the names that the transforms make; all of them are kept, whichever a run reads."""
        self.folder, self.made = folder, tuple(made)

    def get(self, record: Sample, transform: Callable[[dict[str, Any]], Sample]) -> dict[str, Tensor]:
        """The tensors that `transform` makes of a record, from disk where they are there."""
        key = digest(identity(record))
        path = self.folder / key[:2] / f"{key[2:34]}.safetensors"
        try:
            return load_file(path)
        except (OSError, SafetensorError):  # not there yet, or cut off
            sample = transform(dict(record))
            tensors: dict[str, Any] = {name: torch.as_tensor(sample[name]) for name in self.made if name in sample}
            plain = {
                name: (t.as_tensor() if hasattr(t, "as_tensor") else t).contiguous() for name, t in tensors.items()
            }
            self.put(path, plain)
            return plain

    def put(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        """Keep a sample. No waiting for the disk: a file that a power cut empties is made again."""
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                save_file(dict(tensors), beside)
                beside.replace(path)
        finally:
            remove(beside)


def identity(record: Sample) -> list[Any]:
    """What a sample is made of: the record's private columns, what was acquired, its item, and the state of its files."""
    kept = {name: value for name, value in record.items() if name.startswith(("_", "has_")) or name == "item"}
    texts = (text for value in kept.values() for text in (value if isinstance(value, list) else [value]))
    paths = sorted({text.partition(INSIDE)[0] for text in texts if isinstance(text, str) and os.sep in text})
    return [kept, [(path, stamp(Path(path))) for path in paths]]


def stamp(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of a file, or of each file of a folder; nothing where there is none."""
    if path.is_dir():
        files = sorted(Path(place) / name for place, _, names in os.walk(path) for name in names)
    else:
        files = [path]
    found: list[tuple[str, int, int]] = []
    for file in files:
        try:
            status = file.stat()
        except OSError:  # no path after all, or gone: reading it will say so
            continue
        found.append((str(file.relative_to(path)), status.st_size, status.st_mtime_ns))
    return found
