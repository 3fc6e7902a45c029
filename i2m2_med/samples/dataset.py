"""Samples: records (and arrays) → batches of modality tensors, for training, evaluation and scoring alike."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from i2m2_med.samples import normalise
from i2m2_med.samples.batch import Batch
from i2m2_med.samples.disk_cache import DiskCache
from i2m2_med.samples.growth import SizeBound
from i2m2_med.samples.soft import read_soft
from i2m2_med.sources.source import Labels

Transform = Callable[[dict[str, Any]], Mapping[str, Any]]
Change = Callable[[Batch], Batch]


class Samples(Dataset[Batch]):
    """One row of `records` is one sample. `samples.__getitems__(rows)` is what a DataLoader asks for.

    records: columns as of `Source.ingest`; arrays: by modality, row-aligned with `records`; transform: a record's dict →
    modality tensors (a modality that was not acquired is not in the result); `augment` likewise, seeded per sample and epoch.
    modalities: the names that batches carry.
    """

    def __init__(
        self,
        records: pl.DataFrame,
        labels: Labels,
        modalities: Sequence[str],
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        transform: Transform | None = None,
        augment: Any = None,
        state: normalise.State | None = None,
        cache: bool = False,
        store: DiskCache | None = None,
        deferred: bool = False,
    ) -> None:
        self.records = records
        self.labels = labels
        self.modalities = tuple(modalities)
        self.transform = transform
        self.augment = augment
        self.state = state or {}
        self.arrays = {
            name: self.resident(name, array) for name, array in (arrays or {}).items() if name in self.modalities
        }
        columns = [f"label_{name}" for name in labels.names]
        known = [
            records[name].fill_null(-1).to_list() if name in records.columns else [-1] * len(records)
            for name in columns
        ]
        self.target = torch.stack([torch.tensor(column, dtype=torch.int64) for column in known], dim=1)
        self.soft = read_soft(records, labels.names, len(labels.classes))
        self.presence = {
            name: torch.tensor(records[f"has_{name}"].to_list(), dtype=torch.bool)
            for name in self.modalities
            if f"has_{name}" in records.columns
        }
        self.epoch = 0
        self.cached: dict[int, Mapping[str, Any]] | None = {} if cache else None
        self.store = store
        self.deferred = deferred
        """Whether loaders let workers only read (`begin`), and the process that takes the batches compute (`finish`)."""
        self.changes: tuple[Change, ...] = ()

    def replaced(self, **attributes: Any) -> "Samples":
        """Return the same samples with some attributes replaced, such as `records` or `presence`; these stay as they are.

        Another `transform` begins without the samples that are in memory or on disk.
        """
        if unknown := sorted(attributes.keys() - vars(self).keys()):
            raise TypeError(f"samples have no {', '.join(unknown)}")
        other = copy(self)
        other.__dict__.update({"cached": None, "store": None} if "transform" in attributes else {}, **attributes)
        return other

    def take(self, rows: np.ndarray) -> "Samples":
        """Return the samples of `rows` (row numbers), in their order; their arrays are copied into memory."""
        cached = self.cached
        return self.replaced(
            records=self.records[rows],
            arrays={
                name: self.resident(name, np.asarray(array[rows])) if isinstance(array, np.memmap) else array[rows]
                for name, array in self.arrays.items()
            },
            target=self.target[torch.as_tensor(rows)],
            soft=None if self.soft is None else self.soft.take(torch.as_tensor(rows)),
            presence={name: present[torch.as_tensor(rows)] for name, present in self.presence.items()},
            cached=None
            if cached is None
            else {at: cached[int(row)] for at, row in enumerate(rows) if int(row) in cached},
        )

    def changed_by(self, change: Change) -> "Samples":
        """Return the same samples with every batch changed by `change`, after earlier changes."""
        return self.replaced(changes=(*self.changes, change))

    def resident(self, name: str, array: np.ndarray) -> np.ndarray:
        """Return an array as it is kept: in memory standardised once; a memory-mapped one is, batch by batch."""
        return array if isinstance(array, np.memmap) else normalise.apply(name, array, self.state)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, row: int) -> Batch:
        return self.__getitems__([row])

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """Return the samples of `rows` as a batch, in their order."""
        return self.collated(rows, [] if self.transform is None else [self.read(int(row)) for row in rows])

    def begin(self, rows: Sequence[int]) -> "Begun":
        """Return the records of `rows` after the transforms that only read files: what a worker does where the rest is for a GPU."""
        reading, _ = self.steps()
        return Begun(rows, [apply(reading, self.records.row(int(row), named=True)) for row in rows])

    def finish(self, begun: "Begun", device: str) -> Batch:
        """Return the batch of `begin`, its other transforms computed on a device."""
        _, computing = self.steps()
        made = [
            self.augmented(self.kept(apply(computing, moved(record, device))), int(row))
            for row, record in zip(begun.rows, begun.records, strict=True)
        ]
        return self.collated(begun.rows, made)

    def steps(self) -> tuple[Sequence[Transform], Sequence[Transform]]:
        """Return the first transforms, which only read files, and the others."""
        steps: Sequence[Any] = getattr(self.transform, "transforms", ())
        n_reading = next((at for at, step in enumerate(steps) if not reads_only(step)), len(steps))
        return steps[:n_reading], steps[n_reading:]

    def collated(self, rows: Sequence[int], made: list[Mapping[str, Any]]) -> Batch:
        """Return a batch of the samples that transforms made, beside the modalities that are arrays."""
        index = torch.as_tensor(rows, dtype=torch.int64)
        inputs = {name: self.array_rows(name, index.numpy()) for name in self.arrays}
        present = {
            name: self.presence[name][index] if name in self.presence else self.acquired(name, inputs[name])
            for name in inputs
        }
        if self.transform is not None:
            stacked, there = collate(made, [name for name in self.modalities if name not in inputs])
            inputs, present = inputs | stacked, present | there
        target = self.target[index] if self.soft is None else self.soft.take(index).dense()
        batch = Batch(inputs, present, target, index)
        for change in self.changes:
            batch = change(batch)
        return batch

    def acquired(self, name: str, taken: Tensor) -> Tensor:
        """Return which of the rows taken of an array hold a number, (batch,) bool: whole numbers are always there."""
        return acquired_rows(taken) if self.arrays[name].dtype.kind == "f" else torch.ones(len(taken), dtype=torch.bool)

    def array_rows(self, name: str, rows: np.ndarray) -> Tensor:
        """Return the rows of an array modality, as the model reads them: floats in float32, bytes / 255 too, integers in int64."""
        array = self.arrays[name]
        taken = np.asarray(array[rows])
        if isinstance(array, np.memmap):
            taken = normalise.apply(name, taken, self.state)
        if taken.dtype == np.uint8:
            return torch.from_numpy(taken).float().div_(255)
        wide = np.int64 if taken.dtype.kind in "iu" else np.float32
        return torch.from_numpy(np.ascontiguousarray(taken, dtype=wide))

    def read(self, row: int) -> Mapping[str, Any]:
        """Return one record through the transforms; augmentation draws the same numbers whoever computes it, and when."""
        return self.augmented(self.transformed(row), row)

    def augmented(self, sample: Mapping[str, Any], row: int) -> Mapping[str, Any]:
        """Return a sample after augmentation, where there is any."""
        if self.augment is None:
            return sample
        from i2m2_med.samples.reseed import reseed  # imports MONAI, which scoring does without where it can

        reseed(self.augment, (self.epoch * 1_000_003 + row) % 2**31)
        # some of MONAI's change what they are given
        return self.augment(dict(sample) if self.cached is None else deepcopy(dict(sample)))

    def transformed(self, row: int) -> Mapping[str, Any]:
        """Return one record through the transforms without augmentation, from memory where it is cached."""
        assert self.transform is not None
        if self.cached is None:
            return self.made(row)
        if row not in self.cached:
            self.cached[row] = self.made(row)
        return self.cached[row]

    def made(self, row: int) -> Mapping[str, Any]:
        """Return the modalities that the transforms make of one record, as plain tensors."""
        assert self.transform is not None
        record = self.records.row(row, named=True)
        sample = self.transform(record) if self.store is None else self.store.get(record, self.transform)
        return self.kept(sample)

    def kept(self, sample: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the modalities in what the transforms made, as plain tensors."""
        return {name: plain(sample[name]) for name in self.modalities if name in sample}


@dataclass(frozen=True)
class Begun:
    """Samples whose files are read; the transforms that compute are still to come."""

    rows: Sequence[int]
    records: list[Mapping[str, Any]]


def reads_only(step: Any) -> bool:
    """Return whether a transform says that it only reads files (`only_reads`), or bounds the size of what one will read."""
    return bool(getattr(step, "only_reads", False)) or (isinstance(step, SizeBound) and reads_only(step.step))


def apply(steps: Sequence[Transform], record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record after transforms, as MONAI's Compose applies them."""
    for step in steps:
        record = step(dict(record))
    return record


def moved(record: Mapping[str, Any], device: str) -> Mapping[str, Any]:
    """Return a record with its tensors on a device."""
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in record.items()}


def plain(value: Any) -> Any:
    """Return a MONAI tensor without its place and history, which nothing needs from here on; anything else as it is."""
    return value.as_tensor() if hasattr(value, "as_tensor") else value


def acquired_rows(tensor: Tensor) -> Tensor:
    """Return which rows hold a number: (batch,) bool."""
    if not tensor.is_floating_point():
        return torch.ones(len(tensor), dtype=torch.bool)
    return tensor.flatten(1).isfinite().any(dim=1)


def collate(samples: list[Mapping[str, Any]], modalities: Sequence[str]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Stack samples by modality; where one lacks a modality its row is NaN (integers: 0) and `present` is False."""
    inputs: dict[str, Tensor] = {}
    present: dict[str, Tensor] = {}
    for name in modalities:
        there = [name in sample for sample in samples]
        present[name] = torch.tensor(there)
        rows = [torch.as_tensor(sample[name]) for sample in samples if name in sample]
        if not all(there):
            example = rows[0] if rows else torch.zeros(1)
            empty = torch.full_like(example, torch.nan if example.is_floating_point() else 0)
            rows = [torch.as_tensor(sample[name]) if name in sample else empty for sample in samples]
        inputs[name] = default_collate(rows)  # in a worker, straight into the memory that processes share
    return inputs, present
