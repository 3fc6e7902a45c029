"""Processes that train one model together, started by torchrun and joined by ignite: each is a rank, and rank 0 leads.

Each reads its shard of every batch; what they say is gathered, so that each holds the loss of the whole batch, whatever loss that is;
gradients are summed. The leader alone writes files and runs.
"""

import functools
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
import torch.distributed as dist
from torch import nn

from i2m2_med.config.run import RunConfig
from i2m2_med.console import Progress
from i2m2_med.engine.prediction.predictor import portable
from i2m2_med.engine.prediction.seed import device_for
from i2m2_med.engine.prediction.shards import Shards
from i2m2_med.engine.prediction.torchrun import started
from i2m2_med.errors import UserError
from i2m2_med.files import digest
from i2m2_med.samples.data_files import data_files
from i2m2_med.samples.preparing import open_source, prepare, prepared_folder
from i2m2_med.workspace import workspace

JOINING = timedelta(minutes=10)
"""How long processes wait for each other at a step, and to find each other."""
LEADING = timedelta(days=30)
"""How long they wait while the leader prepares data, predicts and draws reports."""

PEER_ENDED = "another of the processes that train together ended"


@contextmanager
def joined(device: str) -> Generator[None]:
    """Join the processes that torchrun started, if it did.

    device: `training.device`. Raises UserError where they don't find each other, or one of them ends.
    """
    if started() == 1:
        yield
        return
    backend = "gloo" if device_for(device) == "cpu" else "nccl"
    try:
        with unset("SLURM_JOB_ID"):  # of which ignite would make its own idea of who is who, or refuse torchrun's
            idist.initialize(backend, timeout=JOINING)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the {started()} processes did not find each other: {first_line(error)}; "
            "is MASTER_PORT in use, or were fewer processes started than WORLD_SIZE says?"
        ) from error
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise UserError(f"{PEER_ENDED} ({first_line(error)}); see what it said, and go on with --resume") from error
    finally:
        idist.finalize()


@contextmanager
def unset(name: str) -> Generator[None]:
    """Take a variable out of the environment meanwhile."""
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, without the place in somebody else's source that it begins with."""
    line = str(error).strip().partition("\n")[0]
    said = line.rpartition("cc:")[2].partition("] ")[2] if "cc:" in line else line
    return said.partition(". ")[0][:200]


def this_shard() -> Shards:
    """Return the shard of this process: all of it where it is alone."""
    return Shards(idist.get_rank(), idist.get_world_size())


def leads() -> bool:
    """Whether this process writes what all of them make."""
    return idist.get_rank() == 0


@functools.cache
def patient() -> Any:
    """The processes, as a group that waits long."""
    return dist.new_group(backend="gloo", timeout=LEADING)


def as_the_leader_says(value: bool) -> bool:
    """Return the leader's value in every process; nobody goes on before the leader came here."""
    if idist.get_world_size() == 1:
        return value
    said = torch.tensor([int(value)])
    dist.broadcast(said, 0, group=patient())
    return bool(said)


def agree(what: str, own: str) -> None:
    """Raise UserError in every process where one has another value than the leader."""
    if idist.get_world_size() == 1:
        return
    said: Any = idist.all_gather(own)
    if others := [rank for rank, value in enumerate(said) if value != said[0]]:
        raise UserError(
            f"{what} of process {', '.join(map(str, others))} differs from that of process 0: all need the same config, "
            "data, version and workspace (a folder that every machine sees)"
        )


def prepare_together(run: RunConfig, name: str, progress: Progress, *, skip_bad: bool) -> Path:
    """Return the prepared data, which the leader makes where they are not. Raises UserError where processes see other data or settings."""
    if leads():
        folder = prepare(run, name, workspace(), progress, skip_bad=skip_bad)
        as_the_leader_says(True)
    else:
        as_the_leader_says(True)
        whole = run.of_fold(None)
        folder = prepared_folder(whole, name, workspace(), data_files(whole, open_source(whole)))
    agree("config or data", digest([portable(run), folder.name]))
    return folder


def sum_gradients(parameters: Sequence[nn.Parameter], group: Any) -> None:
    """Sum gradients over the processes of a group in place; a parameter that has none in any of them is left without."""
    device = parameters[0].device
    here = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.uint8, device=device)
    dist.all_reduce(here, dist.ReduceOp.MAX, group)
    learning = [parameter for parameter, anywhere in zip(parameters, here.tolist(), strict=True) if anywhere]
    for parameter in learning:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    slopes = [parameter.grad for parameter in learning if parameter.grad is not None]
    if not slopes:
        return
    flat = torch.cat([slope.reshape(-1) for slope in slopes])
    dist.all_reduce(flat, group=group)
    for slope, total in zip(slopes, flat.split([slope.numel() for slope in slopes]), strict=True):
        slope.copy_(total.view_as(slope))
