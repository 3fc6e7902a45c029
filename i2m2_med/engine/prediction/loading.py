"""Batches in a seeded order, the same whoever reads them and wherever a run was interrupted."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from i2m2_med.engine.prediction.seed import seed_everything, seed_for, seeded
from i2m2_med.engine.prediction.shards import ALONE, Shards
from i2m2_med.errors import UserError, causes
from i2m2_med.forkserver import how_ended
from i2m2_med.samples.batch import Batch
from i2m2_med.samples.dataset import Begun, Samples

FEWER = "take fewer training.workers or a smaller training.batch; the last whole epoch is kept: go on with --resume"


class Asked(NamedTuple):
    """A batch that is to be read, and the epoch that augments it: a worker that stays from epoch to epoch learns it from here."""

    epoch: int
    rows: list[int]


class EpochBatches(Sampler[Any]):
    """Rows in batches, shuffled anew each epoch by (seed, epoch); set `epoch` before iterating. Of each batch this process's shard."""

    def __init__(self, samples: Samples, batch: int, seed: int | None, shards: Shards) -> None:
        self.n_samples, self.epoch = len(samples), samples.epoch
        self.batch, self.seed, self.shards = batch, seed, shards

    def __len__(self) -> int:
        return -(-self.n_samples // self.batch)

    def __iter__(self) -> Iterator[Asked]:
        if self.seed is None:
            order = torch.arange(self.n_samples)
        else:
            order = torch.randperm(
                self.n_samples, generator=torch.Generator().manual_seed(seed_for(self.seed, "order", self.epoch))
            )
        yield from (Asked(self.epoch, self.shards.rows(rows.tolist())) for rows in order.split(self.batch))

    def n_rows(self, at: int) -> int:
        """How many rows the whole batch number `at` of an epoch has."""
        return min(self.batch, self.n_samples - at * self.batch)


def same(batch: Any) -> Any:
    """`Samples.__getitems__` makes whole batches: there is nothing to collate."""
    return batch


class Reading(Dataset[Any]):
    """What is read of samples for a batch, by a worker or without one.

    deferred: only files are read (`Samples.begin`). seed: of what transforms draw that ask torch or NumPy for numbers themselves.
    """

    def __init__(self, samples: Samples, deferred: bool, seed: int | None) -> None:
        self.samples, self.deferred, self.seed = samples, deferred, seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitems__(self, asked: Asked) -> Batch | Begun | UserError:
        """Return the batch; of a worker its mistake in the user's words, which torch would bury in a traceback.

        Who reads it, and what was read before, is chance: what transforms draw by themselves is of the batch.
        """
        if get_worker_info() is None:
            with (
                seeded(seed_for(self.seed, "reading", *asked)) if self.samples.transform is not None else nullcontext()
            ):
                return self.read(asked)
        seed_everything(self.seed, "reading", *asked)
        try:
            return share(self.read(asked))
        except Exception as error:
            mistake = next((cause for cause in causes(error) if isinstance(cause, UserError)), None)
            if mistake is None:
                raise
            return mistake

    def read(self, asked: Asked) -> Batch | Begun:
        """Return the batch."""
        self.samples.epoch = asked.epoch
        return self.samples.begin(asked.rows) if self.deferred else self.samples.__getitems__(asked.rows)


def share(read: Batch | Begun) -> Batch | Begun:
    """Move what was read into the memory that processes share: torch's queue does so in a thread, whose errors nobody hears of."""
    if isinstance(read, Batch):
        held: list[Any] = [*read.inputs.values(), *read.present.values(), read.target, read.rows]
    else:
        held = [value for record in read.records for value in record.values()]
    for value in held:
        if isinstance(value, torch.Tensor):
            value.share_memory_()
    return read


def hear_no_ctrl_c(worker: int) -> None:  # noqa: ARG001
    """Leave Ctrl-C, which the whole group hears, to the process that ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Batches:
    """Batches of samples, in an order of each epoch's own (`order.epoch`).

    Workers start with the first epoch and stay until this is closed, which `with` does. `loader` makes it.
    """

    def __init__(
        self, made: DataLoader[Any], order: EpochBatches, samples: Samples, device: str, deferred: bool
    ) -> None:
        self.made, self.order, self.samples, self.device, self.deferred = made, order, samples, device, deferred

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        self.samples.epoch = self.order.epoch
        for read in self.made:
            if isinstance(read, UserError):
                raise read
            yield self.samples.finish(read, self.device) if self.deferred else read

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        codes = self.close()
        if error is None or isinstance(error, UserError | KeyboardInterrupt):
            return
        if any(isinstance(cause, KeyboardInterrupt) for cause in causes(error)):
            raise KeyboardInterrupt from error  # a signal to all ends workers too, for which torch raises one more error
        if plain := of_workers(str(error), codes):
            raise plain from error

    def close(self) -> list[int | None]:
        """End the workers, as they would by themselves once Python forgets them; return their exit codes."""
        iterator: Any = self.made._iterator  # pyright: ignore[reportPrivateUsage]  (torch has no other way)
        if iterator is None or not self.made.num_workers:
            return []
        # torch raises the end of a worker by a signal meanwhile, and ends the others all the same
        with suppress(RuntimeError):
            iterator._shutdown_workers()
        self.made._iterator = None  # pyright: ignore[reportPrivateUsage]
        return [worker.exitcode for worker in iterator._workers]


def of_workers(said: str, codes: Sequence[int | None]) -> UserError | None:
    """Return what is to be said of workers that ended or have no memory left; None where an error is none of theirs.

    said: by torch. codes: the workers' exit codes.
    """
    ended = next((code for code in codes if code), None)
    if codes and "Too many open files" in said:
        return UserError(f"too many files are open: raise the limit (`ulimit -n`), or {FEWER}")
    if ended == -signal.SIGBUS or ("DataLoader worker" in said and "</torch_" in said):
        return UserError(
            f"the memory that processes share (/dev/shm) is full: give it more (`docker run --shm-size`), or {FEWER}"
        )
    if "DataLoader worker" in said and ("can't allocate memory" in said or "MemoryError in DataLoader" in said):
        return UserError(f"out of memory in a process that reads samples: {FEWER}")
    if ended is not None:
        return UserError(f"a process that reads samples: {how_ended(ended)}; {FEWER}")
    return None


def loader(
    samples: Samples,
    batch: int,
    workers: int = 0,
    seed: int | None = None,
    shards: Shards = ALONE,
    device: str = "cpu",
) -> Batches:
    """Batches of `samples`; in file order where no seed is given. device: where they are taken to."""
    order = EpochBatches(samples, batch, seed, shards)
    changed = samples.changes or type(samples).__getitems__ is not Samples.__getitems__  # by what other samples hold
    deferred = samples.deferred and not changed
    workers = min(workers, len(order))
    made: DataLoader[Any] = DataLoader(
        Reading(samples, deferred, seed),
        batch_sampler=order,
        collate_fn=same,
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed_for(seed, "workers")),
        pin_memory=device.startswith("cuda") and not deferred,
        persistent_workers=workers > 0,
        worker_init_fn=hear_no_ctrl_c,
    )
    return Batches(made, order, samples, device, deferred)
