"""Batches in a seeded order, the same whoever reads them and wherever a run was interrupted."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from i2m2_med.engine.prediction.seed import seed_for
from i2m2_med.engine.prediction.shards import ALONE, Shards
from i2m2_med.samples.batch import Batch
from i2m2_med.samples.dataset import Begun, Samples


class EpochBatches(Sampler[list[int]]):
    """Rows in batches, shuffled anew each epoch by (seed, epoch); set `epoch` before iterating. Of each batch this process's shard."""

    def __init__(self, n_samples: int, batch: int, seed: int | None, shards: Shards = ALONE) -> None:
        self.n_samples, self.batch, self.seed, self.epoch, self.shards = n_samples, batch, seed, 0, shards

    def __len__(self) -> int:
        return -(-self.n_samples // self.batch)

    def __iter__(self) -> Iterator[list[int]]:
        if self.seed is None:
            order = torch.arange(self.n_samples)
        else:
            order = torch.randperm(
                self.n_samples, generator=torch.Generator().manual_seed(seed_for(self.seed, "order", self.epoch))
            )
        yield from (self.shards.rows(rows.tolist()) for rows in order.split(self.batch))

    def n_rows(self, at: int) -> int:
        """How many rows the whole batch number `at` of an epoch has."""
        return min(self.batch, self.n_samples - at * self.batch)


def same(batch: Any) -> Any:
    """`Samples.__getitems__` makes whole batches: there is nothing to collate."""
    return batch


class Reading(Dataset[Begun]):
    """Samples of which a worker only reads the files."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitems__(self, rows: Sequence[int]) -> Begun:
        """Return the records of `rows`, read."""
        return self.samples.begin(rows)


class Computed:
    """Batches whose files workers read, and whose transforms compute here, on a device."""

    def __init__(self, begun: DataLoader[Begun], samples: Samples, device: str) -> None:
        self.begun, self.samples, self.device = begun, samples, device
        self.batch_sampler, self.dataset = begun.batch_sampler, samples

    def __len__(self) -> int:
        return len(self.begun)

    def __iter__(self) -> Iterator[Batch]:
        for one in self.begun:
            yield self.samples.finish(one, self.device)


def loader(
    samples: Samples,
    batch: int,
    workers: int = 0,
    seed: int | None = None,
    shards: Shards = ALONE,
    device: str = "cpu",
) -> DataLoader[Batch] | Computed:
    """Batches of `samples`; in file order where no seed is given. device: where they are taken to."""
    batches = EpochBatches(len(samples), batch, seed, shards)
    generator = torch.Generator().manual_seed(seed_for(seed, "workers"))
    changed = samples.changes or type(samples).__getitems__ is not Samples.__getitems__  # by what other samples hold
    deferred = samples.deferred and not changed
    pin = device.startswith("cuda") and not deferred
    given: Any = Reading(samples) if deferred else samples
    made: DataLoader[Any] = DataLoader(
        given, batch_sampler=batches, collate_fn=same, num_workers=workers, generator=generator, pin_memory=pin
    )
    return Computed(made, samples, device) if deferred else made
