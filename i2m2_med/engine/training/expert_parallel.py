"""Experts on several processes: each computes some of them on the whole batch, and per step only what they say travels.

Every process holds the combiner and the loss of the whole batch, so that each expert's gradient is exact where the expert is, and
nowhere else: optimizers step what has a gradient. At the end of an epoch each expert comes from its owner, with what its optimizer
remembers, so that all can validate and the leader's checkpoint is that of one process.
"""

from collections.abc import Collection, Sequence

import ignite.distributed as idist
import torch
import torch.distributed as dist
from torch import nn

from i2m2_med.config.training import Training
from i2m2_med.engine.prediction.shards import Shards
from i2m2_med.engine.training.devices import on_gpu
from i2m2_med.engine.training.processes import patient
from i2m2_med.errors import ConfigError
from i2m2_med.model import I2M2, Answer


def owner_of(network: I2M2, name: str, n_processes: int) -> int:
    """Return the process that computes an expert."""
    return network.names.index(name) % n_processes


def owned(network: I2M2, shards: Shards) -> tuple[str, ...]:
    """Return the experts of this process."""
    return tuple(name for name in network.names if owner_of(network, name, shards.size) == shards.rank)


def check_experts_parallel(network: I2M2, training: Training, device: str, n_processes: int) -> None:
    """Raise ConfigError for what does not go together with `training.parallel: experts`."""
    where = "training.parallel: experts"
    if len(network.names) < n_processes:
        raise ConfigError(f"{where}: {len(network.names)} experts leave some of {n_processes} processes without one")
    if training.mode == "ogm-ge":
        raise ConfigError(f"{where}: ogm-ge changes every expert's gradient by those of others; take parallel: data")
    if on_gpu(device) and training.precision not in {"bf16", "fp32"}:
        raise ConfigError(f"{where}: fp16 scales the gradients of all experts alike; take precision: bf16, or fp32")


def exchanged(answers: Sequence[Answer], names: Sequence[str], own: Collection[str]) -> list[Answer]:
    """Return each expert's answer from the process that has it; only this process's own are a part of its graph."""
    mine = torch.tensor([name in own for name in names], device=answers[0][0].device)
    log_probs, losses = torch.stack([one[0] for one in answers]), torch.stack([one[2] for one in answers])
    everybody = torch.cat([log_probs.detach().flatten(), losses.detach()])
    dist.all_reduce(everybody)
    said, added = everybody[: log_probs.numel()].view_as(log_probs), everybody[log_probs.numel() :]
    anchor = torch.zeros((), requires_grad=True)  # nobody may have asked this process's own
    said = torch.where(mine[:, None, None, None], log_probs, said) + anchor
    added = torch.where(mine, losses, added)
    return [(said[at], there, added[at]) for at, (_, there, _) in enumerate(answers)]


def clip_together(network: I2M2, learnt: Sequence[nn.Parameter], own: Collection[str], largest: float) -> None:
    """Clip gradients by their norm over all processes; the combiner's, which all have, counts once."""
    counted = [slope for name in own for one in network.experts[name].parameters() if (slope := one.grad) is not None]
    if idist.get_rank() == 0:
        counted += [one.grad for one in network.combiner.parameters() if one.grad is not None]
    square = nn.utils.get_total_norm(counted).square().to(learnt[0].device)
    dist.all_reduce(square)
    nn.utils.clip_grads_with_norm_(learnt, largest, square.sqrt())


def collect(network: I2M2, optimizer: torch.optim.Optimizer, n_processes: int) -> None:
    """Give every process each expert's weights, buffers and optimizer state, as its owner has them."""
    for name in network.names:
        owner, expert = owner_of(network, name, n_processes), network.experts[name]
        for tensor in expert.state_dict().values():
            dist.broadcast(tensor, owner)
        for parameter in expert.parameters():
            remembered = [dict(optimizer.state.get(parameter, {}))]
            dist.broadcast_object_list(remembered, owner, group=patient())
            if remembered[0]:
                optimizer.state[parameter] = remembered[0]
