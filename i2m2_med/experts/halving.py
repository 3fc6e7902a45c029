"""LeNet's block, conv → BatchNorm → ReLU → max-pool 2: the same maths in half the time where training is on a CPU.

What a block of few channels costs there is passes over memory, not arithmetic. So pooling comes before normalisation, which
is then a quarter of the work; channels lie last, so that every pass is over long contiguous rows; normalisation, pool and
ReLU share one backward pass (`halving_further`). The first block, of one channel, is computed in another way (`halving_first`).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, pad, relu

from i2m2_med.experts.channels_last import LAST
from i2m2_med.experts.halving_first import TILE, FirstBlock, by_pixel
from i2m2_med.experts.halving_further import NormPool

Images = Float[Tensor, "batch _ _ _"]
Pooled = Float[Tensor, "batch channel height width"]
MANY = 100_000
"""Pixels in one batch from which on it pays to save passes over what a convolution makes of them."""
AT_ONCE = 500_000
"""Values of a convolution that evaluation makes at a time."""


def halve(image: Images, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Pooled:
    """relu(max_pool2d(norm(conv(image)), 2)), in the fastest way there is for it; training updates `norm`'s statistics."""
    if image.device.type != "cpu":
        return plain_block(image, conv, norm)
    pixels = image.shape[2] * image.shape[3]
    if not norm.training:
        # no statistics of the batch: no need of it all at once
        pieces = image.split(max(1, AT_ONCE // (conv.out_channels * pixels)))
        return torch.cat([plain_block(piece.contiguous(memory_format=LAST), conv, norm) for piece in pieces])
    if len(image) * pixels < MANY or image.shape[2] % 2 or image.shape[3] % 2:
        return plain_block(image.contiguous(memory_format=LAST), conv, norm)
    tiled = image.shape[2] % TILE == 0 and image.shape[3] % TILE == 0
    if tiled and conv.kernel_size == (5, 5) and not image.requires_grad:
        return first_block(image, conv, norm)
    return further_block(image, conv, norm)


def plain_block(image: Images, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Pooled:
    """The block as it is written down, but for ReLU after the pool: the same, on a quarter of the pixels."""
    return relu(max_pool2d(norm(conv(image)), 2))


def first_block(image: Images, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Pooled:
    """relu(max_pool2d(norm(conv(image)), 2)) in training: (batch, c, 4h, 4w) → (batch, channel, 2h, 2w); updates `norm`'s statistics.

    conv: stride 1, 5×5, padding 2, no bias.
    """
    sign = upright(norm)
    kernel = by_pixel(conv.weight * sign[:, None, None, None])
    padded = pad(image, (2, 2, 2, 2))
    pooled, mean, variance = FirstBlock.apply(kernel, padded, norm.weight * sign, norm.bias, norm.eps)  # pyright: ignore[reportGeneralTypeIssues]
    track(norm, mean * sign, variance, image.numel() // image.shape[1])
    return pooled


def further_block(image: Images, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Pooled:
    """relu(max_pool2d(norm(conv(image)), 2)) in training, of even height and width; updates `norm`'s statistics.

    conv: any that keeps height and width, without bias.
    """
    kernel = conv.weight * upright(norm)[:, None, None, None]
    values = conv2d(image.contiguous(memory_format=LAST), kernel, None, conv.stride, conv.padding)
    scale = norm.weight * upright(norm)
    pooled, mean, variance = NormPool.apply(values.contiguous(memory_format=LAST), scale, norm.bias, norm.eps)  # pyright: ignore[reportGeneralTypeIssues]
    track(norm, mean * upright(norm), variance, values.numel() // len(mean))
    return pooled


def upright(norm: nn.BatchNorm2d) -> Float[Tensor, "channel"]:
    """−1 where a channel's scale is negative: it would turn the maximum into a minimum, so its sign goes to the kernel."""
    return torch.where(norm.weight < 0, -1.0, 1.0)


def track(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """The running statistics after a batch of `count` values per channel."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    with torch.no_grad():
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (count / max(1, count - 1)), norm.momentum)
        norm.num_batches_tracked += 1
