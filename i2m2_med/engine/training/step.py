"""A training step: the batch as this process takes it, and what all processes' model says of all of it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import ignite.distributed as idist
import torch
from torch import Tensor

from i2m2_med.engine.prediction.seed import seeded
from i2m2_med.engine.prediction.shards import ALONE, Shards
from i2m2_med.engine.training.batch_norm import norms_of
from i2m2_med.engine.training.expert_parallel import exchanged
from i2m2_med.engine.training.loss import known_where
from i2m2_med.engine.training.memory import forgotten
from i2m2_med.model import I2M2, Answer, Opinions
from i2m2_med.samples.batch import Batch

MOST_AXES = 8
"""Axes of a sample's tensor."""


def take(batch: Batch, n_rows: int, dropout: float, shards: Shards) -> tuple[Batch, Tensor]:
    """Return this process's shard, with modalities dropped, and the targets of the whole batch of `n_rows`.

    Rows that only fill the shard up hold nothing, and their targets are unknown.
    """
    places = shards.places(n_rows)
    own = places < n_rows
    if not bool(own.all()):
        present = {name: there & own for name, there in batch.present.items()}
        batch = replace(batch, present=present, target=known_where(own.to(batch.target.device), batch.target))
    return drop(batch, dropout, n_rows, places.clamp_max(n_rows - 1)), shards.gathered(batch.target)


def drop(batch: Batch, probability: float, n_rows: int, places: Tensor) -> Batch:
    """Silence each modality of each sample with `probability`, never a sample's last one; every process draws for all `n_rows`."""
    if not probability:
        return batch
    names = list(batch.present)
    there = torch.stack([batch.present[name] for name in names])
    keep = there & (torch.rand((len(names), n_rows))[:, places] >= probability)
    lost = ~keep.any(dim=0)
    keep[:, lost] = there[:, lost]
    return replace(batch, present=dict(zip(names, keep, strict=True)))


class Asking(NamedTuple):
    """How the model is asked about a batch."""

    shards: Shards = ALONE
    parts: int = 1
    """In how many parts a shard is computed, one after another."""
    forget: bool = False
    """Keep the activations of one expert on one part at a time (`memory.py`)."""
    own: tuple[str, ...] | None = None
    """The experts that this process computes, where others compute others (`expert_parallel.py`); None: all."""
    peers: Any = None
    """The processes that compute the other experts on the same rows."""


def ask(batch: Batch, network: I2M2, how: Asking, seed: int) -> Opinions:
    """Return the model's answer on the whole batch, of which `batch` is this process's shard.

    seed: of what networks draw (dropout) where there are several processes: each draws its own.
    """
    if how == Asking():
        return network(batch.inputs, batch.present)
    with drawing(seed + idist.get_rank()) if idist.get_world_size() > 1 else nullcontext():
        own = ask_parts(batch, network, how)
    gathered = how.shards.gathered
    return Opinions(
        gathered(own.log_probs), gathered(own.experts, 1), gathered(own.present, 1), gathered(own.own_loss[None]).sum()
    )


def ask_parts(batch: Batch, network: I2M2, how: Asking) -> Opinions:
    """Return the model's answer on a shard, computed part by part; what experts add to the loss, as its share of the whole batch's."""
    n_heard = everywhere(
        torch.stack([network.heard(name, batch.present)[1].sum() for name in network.names]), how.shards
    )
    rows = torch.arange(len(batch.rows)).tensor_split(min(how.parts, len(batch.rows)))
    said: list[Opinions] = []
    for at, part in enumerate(rows):
        inputs, present = (
            {name: tensor[part[0] : part[-1] + 1] for name, tensor in named.items()}
            for named in (batch.inputs, batch.present)
        )
        answers = ask_experts(network, inputs, present, how, last_part=at == len(rows) - 1)
        answers = [
            (log_probs, there, own * float(there.sum() / n_rows.clamp_min(1)))
            for (log_probs, there, own), n_rows in zip(answers, n_heard, strict=True)
        ]
        said.append(network.combined(answers, elsewhere=bool(n_heard.any())))
    return Opinions(
        torch.cat([one.log_probs for one in said]),
        torch.cat([one.experts for one in said], 1),
        torch.cat([one.present for one in said], 1),
        torch.stack([one.own_loss for one in said]).sum(),
    )


@contextmanager
def drawing(seed: int) -> Generator[None]:
    """Draw random numbers from `seed` meanwhile; those drawn afterwards are as if nothing had been drawn."""
    with seeded(seed, [torch.cuda.current_device()] if torch.cuda.is_available() else []):
        yield


def everywhere(here: Tensor, shards: Shards) -> Tensor:
    """Return how many of something there are in all of the processes; here: in this one."""
    if shards.size == 1:
        return here
    return torch.as_tensor(idist.all_reduce(here.float().to(idist.device()), group=shards.group)).cpu()


def anywhere(here: Tensor, shards: Shards) -> Tensor:
    """Return where something is so in any of the processes."""
    return everywhere(here, shards) > 0


def ask_experts(
    network: I2M2, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor], how: Asking, last_part: bool
) -> list[Answer]:
    """Ask each expert; one that no row here is for, but rows elsewhere are, joins in what its batch norms have to know of all rows."""
    here = torch.stack([network.heard(name, present)[1].any() for name in network.names])
    asked, absent = anywhere(here, how.shards), anywhere(~here, how.shards)
    answers: list[Answer] = []
    for at, name in enumerate(network.names):
        if how.own is not None and name not in how.own:
            answers.append(network.silent(name, inputs, present))
            continue
        expert, reads = network.experts[name], network.reads[name]
        blank: list[Tensor] = []
        if how.shards.size > 1 and bool(asked[at] & absent[at]) and norms_of(expert):
            blank = [blank_row(inputs[modality], present[modality], how.shards) for modality in reads]
        if blank and not bool(here[at]):
            there = network.heard(name, present)[1]
            question, given = partial(stand_in, network, name, blank, there), blank
        else:
            question, given = partial(network.ask, name, inputs, present), [inputs[modality] for modality in reads]
        kept = (
            last_part and name == (how.own or network.names)[-1]
        )  # its gradient is due before anything else is computed
        answers.append(question() if kept or not how.forget else forgotten(question, expert, given))
    return answers if how.own is None else exchanged(answers, network.names, how.own, how.peers)


def blank_row(tensor: Tensor, present: Tensor, shards: Shards) -> Tensor:
    """Return a row of zeros in the shape and type that shards with a row of this modality know; all of them have to ask."""
    known = torch.zeros(1 + MOST_AXES, device=tensor.device)
    if bool(present.any()):
        known[: tensor.ndim] = torch.tensor([tensor.is_floating_point(), *tensor.shape[1:]], device=tensor.device)
    floating, *sizes = torch.as_tensor(idist.all_reduce(known, "MAX", group=shards.group)).int().tolist()
    shape = [1, *(size for size in sizes if size)]
    return torch.zeros(shape, dtype=torch.float32 if floating else torch.int64, device=tensor.device)


def stand_in(network: I2M2, name: str, row: list[Tensor], there: Tensor) -> Answer:
    """Return an absent expert's answer (`I2M2.ask`) after it was asked about a blank row that counts nothing. there: all False."""
    expert, device = network.experts[name], row[0].device
    also = {"present": torch.ones((len(row), 1), dtype=torch.bool, device=device)}
    norms = norms_of(expert)
    for norm in norms:
        norm.counted = False
    log_probs, _ = network.answer(expert, row, **(also if name in network.lenient else {}))
    for norm in norms:
        norm.counted = True
    return torch.where(there.to(device)[:, None, None], log_probs, 0.0), there, torch.zeros((), device=device)
