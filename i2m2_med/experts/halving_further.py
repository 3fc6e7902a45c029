"""A further block of a LeNet in training: BatchNorm → max-pool 2 → ReLU of what its convolution made, made for one core's cache.

A few images at a time, rows are pooled in pairs, then their columns; what that leaves is made again in the backward pass.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from i2m2_med.experts.channels_last import LAST, Images, scale_and_shift, table, tiled, total

Rows = Float[Tensor, "_ _"]
PIECE = 150_000
"""Values at a time for each thread: they and what is made of them fit in a core's second-level cache."""


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


def columns_of(rows: Rows, channels: int) -> tuple[Tensor, Tensor]:
    """Views of the left and the right pixel of each pair: (pair, channel)."""
    pairs = rows.view(-1, 2, channels)
    return pairs[:, 0], pairs[:, 1]


def highest_rows(images: Images, room: Rows) -> Rows:
    """The larger of each pair of rows, pixel by pixel."""
    upper, lower = rows_of(images)
    return torch.maximum(upper, lower, out=room[: len(upper)])


def add_to_winners(
    images: Images, gradient: Float[Tensor, "batch channel _ _"], into: Images, room: Rows, more: Rows
) -> None:
    """Max-pooling backwards: adds each window's gradient where its maximum (the left, the upper of equals) is.

    room, more: memory for as many rows as the images have.
    """
    highest = highest_rows(images, room)
    upper, lower = rows_of(images)
    left, right = columns_of(highest, images.shape[1])
    won = table(gradient).view(len(left), -1)
    # 1 where the first of two holds their maximum, else 0: arithmetic with numbers is several times faster than with bool
    of_left = torch.ge(left, right, out=more.view(-1, images.shape[1])[: len(left)]).mul_(won)
    of_upper = torch.ge(upper, lower, out=room[len(upper) : 2 * len(upper)])
    torch.sub(won, of_left, out=right)
    left.copy_(of_left)
    of_upper.mul_(highest)
    above, below = rows_of(into)
    above += of_upper
    below += highest.sub_(of_upper)
