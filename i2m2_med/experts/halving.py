"""LeNet's block, conv → BatchNorm → ReLU → max-pool 2: the same maths in little more than half the time where training is on a CPU.

What a block of few channels costs there is passes over memory, not arithmetic. So pooling comes before normalisation, which
is then a quarter of the work; channels lie last, so that every pass is over long contiguous rows; normalisation, pool and
ReLU share one backward pass. The first block, of one channel, is computed in another way: see `halving_first`.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, pad, relu

from i2m2_med.experts.channels_last import scale_and_shift, table, tiled, total
from i2m2_med.experts.halving_first import LAST, TILE, FirstBlock, by_pixel

Images = Float[Tensor, "batch _ _ _"]
Pooled = Float[Tensor, "batch channel height width"]
MANY = 100_000
"""Pixels in one batch from which on it pays to save passes over what a convolution makes of them."""
PIECE = 150_000
"""Values at a time for each thread that normalisation and pool look at: they fit in a core's second-level cache."""
AT_ONCE = 500_000
"""Values of a convolution that evaluation makes at a time."""


def halve(image: Images, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Pooled:
    """relu(max_pool2d(norm(conv(image)), 2)), in the fastest way there is for it; training updates `norm`'s statistics."""
    if image.device.type != "cpu":
        return plain_block(image, conv, norm)
    pixels = image.shape[2] * image.shape[3]
    if not norm.training:
        pieces = image.split(
            max(1, AT_ONCE // (conv.out_channels * pixels))
        )  # no statistics of the batch: no need of it all at once
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


class NormPool(torch.autograd.Function):
    """BatchNorm by batch statistics → max-pool 2 → ReLU, for scales ≥ 0, which keep order: pooled first, normalised second.

    The values it is given, channels last and of even height and width, are centred in place: whoever made them has no need of them.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        """→ pooled, and the batch's mean and (biased) variance per channel."""
        batch, channels, height, width = values.shape
        count = values.numel() // channels
        mean = total(values) / count
        away = tiled(mean, values)
        squares = torch.zeros_like(away)
        peak = values.new_empty(batch, height // 2, width // 2, channels).permute(0, 3, 1, 2)
        ctx.piece = max(1, PIECE * torch.get_num_threads() // (channels * height * width))
        room = torch.empty_like(table(values[: ctx.piece]))
        for images, best in zip(values.split(ctx.piece), peak.split(ctx.piece), strict=True):
            rows = table(images).sub_(away)
            squares += torch.mul(rows, rows, out=room[: len(rows)]).sum(dim=0)
            left, right = columns_of(highest_rows(images, room), channels)
            torch.maximum(left, right, out=table(best).view(len(left), channels))
        variance = squares.view(-1, channels).sum(dim=0) / count
        inverse = (variance + eps).rsqrt()
        pooled = scale_and_shift(peak, scale * inverse, shift).relu_()
        ctx.save_for_backward(values, peak, pooled, scale, inverse)
        ctx.mark_non_differentiable(mean, variance)
        return pooled, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """As of Ioffe & Szegedy 2015: the gradient of the winners, less its mean and its projection on the normalised values."""
        centred, peak, pooled, scale, inverse = ctx.saved_tensors
        arrived = torch.ops.aten.threshold_backward(gradients[0].contiguous(memory_format=LAST), pooled, 0)  # ReLU's
        shift_gradient, scale_gradient = total(arrived), total(arrived * peak) * inverse
        gain, count = scale * inverse, centred.numel() // len(scale)
        table(arrived).mul_(tiled(gain, peak))
        slope, level = gain * inverse * scale_gradient / count, gain * shift_gradient / count
        less, factor = tiled(-level, centred), tiled(-slope, centred)
        spread = torch.empty_like(centred)
        room = torch.empty_like(table(centred[: ctx.piece]))
        more = torch.empty_like(room)
        for images, won, into in zip(*(part.split(ctx.piece) for part in (centred, arrived, spread)), strict=True):
            torch.addcmul(less, table(images), factor, out=table(into))
            add_to_winners(images, won, into, room, more)
        return spread, scale_gradient, shift_gradient, None


def rows_of(images: Images) -> tuple[Tensor, Tensor]:
    """Views of the upper and the lower row of each pair: (batch · height / 2, width · channel)."""
    rows = table(images).unflatten(0, (-1, 2))
    return rows[:, 0], rows[:, 1]


def columns_of(rows: Float[Tensor, "line place"], channels: int) -> tuple[Tensor, Tensor]:
    """Views of the left and the right pixel of each pair: (pair, channel)."""
    pairs = rows.view(-1, 2, channels)
    return pairs[:, 0], pairs[:, 1]


def highest_rows(images: Images, room: Tensor) -> Float[Tensor, "line place"]:
    """The larger of each pair of rows, pixel by pixel."""
    upper, lower = rows_of(images)
    return torch.maximum(upper, lower, out=room[: len(upper)])


def add_to_winners(images: Images, gradient: Images, into: Images, room: Tensor, more: Tensor) -> None:
    """Max-pooling backwards: adds each window's gradient where its maximum (the upper, the left of equals) is."""
    highest = highest_rows(images, room)
    upper, lower = rows_of(images)
    of_upper = torch.ge(upper, lower, out=room[len(upper) : 2 * len(upper)])
    left, right = columns_of(highest, images.shape[1])
    won = table(gradient).view(len(left), -1)
    of_left = torch.ge(left, right, out=more.view(-1, images.shape[1])[: len(left)]).mul_(
        won
    )  # numbers: arithmetic with bool is slow
    torch.sub(won, of_left, out=right)
    left.copy_(of_left)
    of_upper.mul_(highest)
    above, below = rows_of(into)
    above += of_upper
    below += highest.sub_(of_upper)
