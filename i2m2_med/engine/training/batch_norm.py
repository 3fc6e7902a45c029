"""Batch normalisation over the rows of all processes.

`torch.nn.SyncBatchNorm` has no kernel for CPUs, and takes every process to have a row: an expert whose modality nobody in a shard
has would leave the others waiting. Here such a process takes part with a stand-in that counts nothing.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class SumOfProcesses(torch.autograd.Function):
    """A tensor summed over the processes of a group; so are the gradients."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, group: Any) -> Tensor:
        """Return the sum."""
        ctx.group, total = group, own.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        """Return the sum of the gradients."""
        total = slopes[0].contiguous().clone()
        dist.all_reduce(total, group=ctx.group)
        return total, None


class GlobalBatchNorm(_BatchNorm):
    """What a batch norm would do had one process all the rows; parameters and running statistics are of the same names."""

    counted = True
    """False while this process has no row of its own."""
    group: Any = None
    """The processes that have the other rows; None: all that there are."""

    def forward(self, input: Tensor) -> Tensor:
        """(batch, channel, …) → the same shape."""
        if not self.training:
            return super().forward(input)
        axes, shape = [0, *range(2, input.ndim)], [1, -1, *[1] * (input.ndim - 2)]
        values = input.float()
        if self.running_mean is not None:  # near the mean, and the same everywhere: squares of small numbers are exact
            values = values - self.running_mean.view(shape)
        own = torch.stack([torch.ones_like(values).sum(axes), values.sum(axes), values.square().sum(axes)])
        count, first, second = SumOfProcesses.apply(own if self.counted else own * 0, self.group)
        mean = first / count
        variance = (second / count - mean.square()).clamp_min(0)
        if self.track_running_stats:
            self.keep(mean.detach(), (variance * count / (count - 1)).detach())
        normal = (values - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)

    @torch.no_grad()
    def keep(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of this batch, whose mean is relative to the running one."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.add_(mean, alpha=share)
        self.running_var.lerp_(variance, share)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes."""


def share_statistics(module: nn.Module, group: Any) -> None:
    """Replace each batch norm inside `module` by one over the processes of a group, with the same parameters and buffers."""
    for name, child in module.named_children():
        if type(child) in PLAIN:
            assert isinstance(child, _BatchNorm)
            shared = GlobalBatchNorm(
                child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats
            )
            for kind, tensor in (*child.named_parameters(), *child.named_buffers()):
                setattr(shared, kind, tensor)
            shared.group = group
            shared.train(child.training)
            setattr(module, name, shared)
        else:
            share_statistics(child, group)


def norms_of(module: nn.Module) -> list[GlobalBatchNorm]:
    """The batch norms inside `module` that processes share."""
    return [one for one in module.modules() if isinstance(one, GlobalBatchNorm)]
