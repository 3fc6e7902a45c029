"""Samples after their deterministic transforms, kept on disk: read and decoded once, whoever trains on them, with any seed or fold.

A sample's key is what it is made of: its record's paths and numbers, size and times of each file, all files of a folder; the
folder's name is a hash of the transforms, of the files that they name, of plugins' code, ours, and the versions of what computes.
Nothing is reused under another key, and a file that was cut off or damaged is made again: its checksum is over key and content.
(MONAI's PersistentDataset keys by the record alone, and moves its files across file systems in a way that a kill leaves half
done for good.)
"""

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2m2_med.disk_errors import writing
from i2m2_med.errors import UserError
from i2m2_med.files import digest, remove
from i2m2_med.kept_tensors import read_tensors, write_tensors
from i2m2_med.sources.formats.kspace import behind_of, header_of

INSIDE = "::"
"""Between a file and what is meant inside it."""
Sample = Mapping[str, Any]


class DiskCache:
    """Tensors by sample, a file each. Processes may share it: a file is renamed into its place when whole."""

    def __init__(self, folder: Path, made: Collection[str]) -> None:
        """made: the names that the transforms make; all of them are kept, whichever a run reads."""
        self.folder, self.made = folder, tuple(made)

    def get(self, record: Sample, transform: Callable[[dict[str, Any]], Sample]) -> dict[str, Tensor]:
        """The tensors that `transform` makes of a record, from disk where they are there. It is shown what the key covers only."""
        known = covered(record)
        key = digest(identity(known))
        path = self.folder / key[:2] / f"{key[2:34]}.sample"
        kept = read_tensors(path, key)
        if kept is None:
            sample = transform(known)
            kept = {name: plain(name, sample[name]) for name in self.made if name in sample}
            self.put(path, key, kept)
        return kept

    def put(self, path: Path, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep a sample. No waiting for the disk: a file that a power cut empties is made again."""
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_tensors(beside, tensors, key)
                beside.replace(path)
        except KeyError as error:
            raise UserError(f"modalities.cache: disk keeps no tensors of {error.args[0]}; take cache: false") from error
        finally:
            remove(beside)


def plain(name: str, value: Any) -> Tensor:
    """Return a value as a tensor of its own memory. Raises UserError for what is none."""
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"modalities.cache: disk keeps tensors, and the transforms make a {type(value).__name__} of '{name}'; take cache: false"
        ) from error
    tensor = tensor.as_tensor() if hasattr(tensor, "as_tensor") else tensor  # pyright: ignore[reportAttributeAccessIssue]
    return tensor.detach().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)


def covered(record: Sample) -> dict[str, Any]:
    """What of a record decides on a sample: its private columns, what was acquired, and its item; no names, labels or splits."""
    return {name: value for name, value in record.items() if name.startswith(("_", "has_")) or name == "item"}


def identity(record: Sample) -> list[Any]:
    """What a sample is made of: what of its record is `covered`, and the state of its files."""
    kept = covered(record)
    texts = (text for value in kept.values() for text in (value if isinstance(value, list) else [value]))
    paths = sorted({text.partition(INSIDE)[0] for text in texts if isinstance(text, str) and os.sep in text})
    return [kept, [(path, stamp(Path(path))) for path in paths]]


def stamp(path: Path) -> list[tuple[str, int, int, int]]:
    """Name, size and times of a file and of those that belong to it, or of each file of a folder; nothing where there is none.

    The second time is that of the last change, which nobody can set back.
    """
    found: list[tuple[str, int, int, int]] = []
    for file in files_at(path):
        with suppress(OSError):  # gone, or a link to nowhere: reading it will say so
            status = file.stat()
            found.append((os.path.relpath(file, path), status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return found


def files_at(path: Path) -> list[Path]:
    """Return a file, its header, and those that its arrays are put together from; of a folder all that it holds."""
    try:
        if path.is_dir():
            return sorted(Path(place) / name for place, _, names in os.walk(path) for name in names)
        if not path.is_file():
            return []
        header = header_of(path)
        return [path, *([header] if header else []), *behind(path, path.stat().st_mtime_ns)]
    except OSError:  # a text that is too long for a path, or a file that is gone now
        return []


@lru_cache(maxsize=10_000)
def behind(path: Path, changed: int) -> list[Path]:  # noqa: ARG001
    """Return the files that an HDF5 file's arrays are put together from, looked for once."""
    return behind_of(path)
