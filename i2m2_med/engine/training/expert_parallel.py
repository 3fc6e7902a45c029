"""Experts on several processes: each computes some of them, and per step only what they say travels.

Where there are more processes than experts, they are a mesh of data × experts: those of a row have the same part of every batch and
compute each expert once, those of a column compute the same experts on other parts. Every process holds the combiner and the loss of
the whole batch, so that each expert's gradient is exact where the expert is, and nowhere else: optimizers step what has a gradient. At the end of an epoch each expert comes from its owner, with what its optimizer
remembers, so that all can validate and the leader's checkpoint is that of one process.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

from i2m2_med.config.training import Training
from i2m2_med.engine.prediction.shards import ALONE, Shards
from i2m2_med.engine.training.devices import on_gpu
from i2m2_med.engine.training.processes import patient
from i2m2_med.errors import ConfigError
from i2m2_med.model import I2M2, Answer


class Layout(NamedTuple):
    """What this process computes of a step."""

    rows: Shards = ALONE
    """Which rows of every batch."""
    own: tuple[str, ...] | None = None
    """Which experts; None: all."""
    peers: Any = None
    """The processes that compute the other experts on the same rows."""
    columns: int = 1
    """Among how many processes the experts are shared out."""


def lay_out(network: I2M2, training: Training, device: str, everybody: Shards) -> Layout:
    """Return what this process computes. Raises ConfigError for what does not go together with `training.parallel: experts`."""
    if training.parallel == "data" or everybody.size == 1:
        return Layout(everybody)
    columns = check_experts_parallel(network, training, device, everybody.size)
    shape = (everybody.size // columns, columns)
    mesh = init_device_mesh(device.partition(":")[0], shape, mesh_dim_names=("data", "experts"))
    row, column = divmod(everybody.rank, columns)
    own = tuple(name for name in network.names if owner_of(network, name, columns) == column)
    return Layout(Shards(row, shape[0], mesh.get_group("data")), own, mesh.get_group("experts"), columns)


def owner_of(network: I2M2, name: str, columns: int) -> int:
    """Return the column that computes an expert; the first row's process there has that number."""
    return network.names.index(name) % columns


def check_experts_parallel(network: I2M2, training: Training, device: str, n_processes: int) -> int:
    """Return among how many of the processes the experts are shared out: as many as there are experts, or the largest number below
    that divides the processes. Raises ConfigError for what does not go together with `training.parallel: experts`."""
    where, n_experts = "training.parallel: experts", len(network.names)
    columns = max(count for count in range(1, n_experts + 1) if n_processes % count == 0)
    if columns == 1:
        raise ConfigError(
            f"{where}: {n_processes} processes can't share {n_experts} experts evenly; take a multiple of "
            f"{' or of '.join(map(str, range(2, n_experts + 1)))} processes, or parallel: data"
            if n_experts > 1
            else f"{where}: a model of one expert leaves some of {n_processes} processes without one; take parallel: data"
        )
    if training.mode == "ogm-ge":
        raise ConfigError(f"{where}: ogm-ge changes every expert's gradient by those of others; take parallel: data")
    if on_gpu(device) and training.precision not in {"bf16", "fp32"}:
        raise ConfigError(f"{where}: fp16 scales the gradients of all experts alike; take precision: bf16, or fp32")
    return columns


def exchanged(answers: Sequence[Answer], names: Sequence[str], own: Collection[str], peers: Any) -> list[Answer]:
    """Return each expert's answer from the process of `peers` that has it; only this process's own are a part of its graph."""
    mine = torch.tensor([name in own for name in names], device=answers[0][0].device)
    log_probs, losses = torch.stack([one[0] for one in answers]), torch.stack([one[2] for one in answers])
    everybody = torch.cat([log_probs.detach().flatten(), losses.detach()])
    dist.all_reduce(everybody, group=peers)
    said, added = everybody[: log_probs.numel()].view_as(log_probs), everybody[log_probs.numel() :]
    anchor = torch.zeros((), requires_grad=True)  # nobody may have asked this process's own
    said = torch.where(mine[:, None, None, None], log_probs, said) + anchor
    added = torch.where(mine, losses, added)
    return [(said[at], there, added[at]) for at, (_, there, _) in enumerate(answers)]


def clip_together(network: I2M2, learnt: Sequence[nn.Parameter], layout: Layout, largest: float) -> None:
    """Clip gradients by their norm over all experts; the combiner's, which all processes have, counts once."""
    counted = [
        slope
        for name in layout.own or ()
        for one in network.experts[name].parameters()
        if (slope := one.grad) is not None
    ]
    if dist.get_rank(layout.peers) == 0:
        counted += [one.grad for one in network.combiner.parameters() if one.grad is not None]
    square = nn.utils.get_total_norm(counted).square().to(learnt[0].device)
    dist.all_reduce(square, group=layout.peers)
    nn.utils.clip_grads_with_norm_(learnt, largest, square.sqrt())


def collect(network: I2M2, optimizer: torch.optim.Optimizer, layout: Layout) -> None:
    """Give every process each expert's weights and buffers, as its owner has them, and what its optimizer remembers of those that it
    does not compute itself. That comes by way of the CPU: it would arrive on the owner's GPU."""
    for name in network.names:
        owner, expert = owner_of(network, name, layout.columns), network.experts[name]
        sent = [dist.broadcast(tensor, owner, async_op=True) for tensor in expert.state_dict().values()]
        for one in sent:
            one.wait()  # pyright: ignore[reportOptionalMemberAccess]  (None is for those outside of the group)
        parameters = list(expert.parameters())
        states = [optimizer.state.get(parameter, {}) for parameter in parameters]
        remembered = [[{key: on_cpu(value) for key, value in state.items()} for state in states]]
        dist.broadcast_object_list(remembered, owner, group=patient())
        if name in (layout.own or ()):
            continue
        for parameter, state in zip(parameters, remembered[0], strict=True):
            if state:
                optimizer.state[parameter] = state


def on_cpu(value: Any) -> Any:
    """Return a tensor on the CPU, and anything else as it is."""
    return value.cpu() if isinstance(value, Tensor) else value
