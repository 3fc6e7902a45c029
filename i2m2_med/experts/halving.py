"""LeNet's first block, conv → BatchNorm → ReLU → max-pool 2, computed on the four phases of a 2×2 grid.

The same maths in about half the time on a CPU: a convolution of one channel leaves vector units idle, and pooling that
looks for neighbours in memory is slow. With the four pixels of each pooling window as channels, the convolution is four
times wider, the pool is a maximum of contiguous blocks, and normalisation, pool and ReLU share one backward pass.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, pixel_unshuffle

Phases = Float[Tensor, "batch channel 4 height width"]
Pooled = Float[Tensor, "batch channel height width"]


def fits(image: Tensor) -> bool:
    """Whether the block can be computed by phases: even sides, on a CPU."""
    return image.device.type == "cpu" and image.shape[2] % 2 == 0 and image.shape[3] % 2 == 0


def first_block(image: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Pooled:
    """relu(max_pool2d(norm(conv(image)), 2)) in training: (batch, 1, 2h, 2w) → (batch, channel, h, w); updates `norm`'s statistics.

    conv: stride 1, 5×5, padding 2, no bias. A negative scale would turn the maximum into a minimum: its sign goes to the kernel.
    """
    sign = torch.where(norm.weight < 0, -1.0, 1.0)
    phases = phase_conv(image, conv.weight * sign[:, None, None, None])
    pooled, mean, variance = NormPool.apply(phases, norm.weight * sign, norm.bias, norm.eps)  # pyright: ignore[reportGeneralTypeIssues]
    _track(norm, mean * sign, variance, phases.numel() // len(mean))
    return pooled


def phase_conv(image: Tensor, kernel: Tensor) -> Phases:
    """A 5×5 convolution with padding 2 of (batch, c, 2h, 2w), its output by phase of the 2×2 grid: one 3×3 convolution of 4c channels."""
    outputs, channels = kernel.shape[:2]
    shifted = [pad(kernel, (right, 1 - right, down, 1 - down)) for down in (0, 1) for right in (0, 1)]
    wide = torch.stack(shifted, dim=1).reshape(outputs * 4, channels, 3, 2, 3, 2)
    wide = wide.permute(0, 1, 3, 5, 2, 4).reshape(outputs * 4, channels * 4, 3, 3)
    grid = pixel_unshuffle(image, 2).contiguous(memory_format=torch.channels_last)  # the faster convolution here
    return conv2d(grid, wide, padding=1).unflatten(1, (outputs, 4))


def _track(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    with torch.no_grad():
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (count / max(1, count - 1)), norm.momentum)
        norm.num_batches_tracked += 1


def where_positive(gradient: Tensor, values: Tensor) -> Tensor:
    """`gradient` where `values` > 0, else 0: ReLU's backward pass, several times faster than `where`."""
    return torch.ops.aten.threshold_backward(gradient, values, 0)


class NormPool(torch.autograd.Function):
    """BatchNorm by batch statistics → maximum over phases → ReLU, for scales ≥ 0; ties give their gradient to the first phase.

    Pooling comes first and normalisation second, on a quarter of the values: the scale is not negative, so order is kept.
    """

    @staticmethod
    def forward(ctx: Any, phases: Phases, scale: Tensor, shift: Tensor, eps: float) -> tuple[Pooled, Tensor, Tensor]:
        """→ (batch, channel, height, width), and the batch's mean and (biased) variance per channel."""
        centred = phases.clone(memory_format=torch.contiguous_format)
        mean = centred.flatten(2).mean(dim=2).mean(dim=0)
        centred.sub_(mean[:, None, None, None])
        count = phases.numel() // len(mean)
        variance = torch.linalg.vector_norm(centred.flatten(2), dim=2).square().sum(dim=0) / count
        inverse = (variance + eps).rsqrt()
        first, second, third, fourth = centred.unbind(dim=2)
        upper, lower = torch.maximum(first, second), torch.maximum(third, fourth)
        wins = second - first, fourth - third, lower - upper
        peak = torch.maximum(upper, lower)
        pooled = (peak * (scale * inverse)[:, None, None]).add_(shift[:, None, None]).relu_()
        ctx.save_for_backward(centred, peak, pooled, *wins, scale, inverse)
        ctx.mark_non_differentiable(mean, variance)
        return pooled, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """As of Ioffe & Szegedy 2015: the gradient of the winners, less its mean and its projection on the normalised values."""
        centred, peak, pooled, second, fourth, lower, scale, inverse = ctx.saved_tensors
        arrived = where_positive(gradients[0], pooled)
        shift_gradient = arrived.sum(dim=(0, 2, 3))
        scale_gradient = (arrived * peak).sum(dim=(0, 2, 3)) * inverse
        gain, count = scale * inverse, centred.numel() // len(scale)
        slope, level = gain * scale_gradient * inverse / count, gain * shift_gradient / count
        spread = centred.mul_(-slope[:, None, None, None]).sub_(
            level[:, None, None, None]
        )  # not needed any more: overwritten
        arrived = arrived * gain[:, None, None]
        below = where_positive(arrived, lower)
        above = arrived - below
        to_second, to_fourth = where_positive(above, second), where_positive(below, fourth)
        for phase, share in enumerate((above.sub_(to_second), to_second, below.sub_(to_fourth), to_fourth)):
            spread[:, :, phase] += share
        return spread, scale_gradient, shift_gradient, None
