"""The first block of a LeNet in training: conv 5×5 of an image → BatchNorm → max-pool 2 → ReLU, made for one core's cache.

One channel is too few for a convolution's vector units: there the four pixels of a pooling window are computed as four
outputs by one matrix product. A few images at a time, what the convolution makes is never written to memory as a whole, and
what costs less to make again than to keep is made again in the backward pass. No gradient goes back to the image.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

Grid = Float[Tensor, "batch channel height width"]
PIECE = 4
"""Images at a time for each thread: their patches and values fit in a core's second-level cache."""


def by_phase(kernel: Float[Tensor, "output channel 5 5"]) -> Float[Tensor, "phase tap"]:
    """The kernel that gives a window's four outputs at once, as a matrix: (4 · output, 36 · channel).

    They read 6×6 pixels between them: 3×3 of a grid that holds 4c channels at half the side.
    """
    outputs, channels = kernel.shape[:2]
    shifted = [pad(kernel, (right, 1 - right, down, 1 - down)) for down in (0, 1) for right in (0, 1)]
    wide = torch.stack(shifted, dim=1).reshape(outputs * 4, channels, 3, 2, 3, 2)
    return wide.permute(0, 1, 3, 5, 2, 4).reshape(outputs * 4, channels * 36)


def grid_of(image: Tensor) -> Grid:
    """The four pixels of each window as channels, with a border of zeros: (batch, 4c, h + 2, w + 2)."""
    batch, channels, height, width = image.shape
    grid = image.new_zeros(batch, channels, 2, 2, height // 2 + 2, width // 2 + 2)
    halves = image.reshape(batch, channels, height // 2, 2, width // 2, 2)
    grid[..., 1:-1, 1:-1] = halves.permute(0, 1, 3, 5, 2, 4)
    return grid.flatten(1, 3)


def patches(grid: Grid) -> Float[Tensor, "batch tap window"]:
    """What each window reads, by channel, row and column: (batch, 9 · channel, h · w)."""
    batch, channels, height, width = grid.shape
    taps = grid.new_empty(batch, channels, 3, 3, height - 2, width - 2)
    taps.copy_(grid.unfold(2, height - 2, 1).unfold(3, width - 2, 1))
    return taps.flatten(4).flatten(1, 3)


def windows(values: Float[Tensor, "batch phase window"]) -> Float[Tensor, "plane window 2 2"]:
    """(batch, 4 · channel, window) as pooling reads it: (batch · channel, window, 2, 2), channels last in memory."""
    return values.view(-1, 2, 2, values.shape[2]).permute(0, 3, 1, 2)


class FirstBlock(torch.autograd.Function):
    """Convolution, BatchNorm by batch statistics, max-pool and ReLU, for scales ≥ 0, which keep order: pooled first, normalised second."""

    @staticmethod
    def forward(
        ctx: Any, kernel: Tensor, grid: Tensor, scale: Tensor, shift: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(4 · channel, tap), (batch, 4c, h + 2, w + 2) → (batch, channel, h · w), and the batch's mean and (biased) variance."""
        sums = patches(grid.sum(dim=0, keepdim=True))[0].sum(dim=1)
        count = 4 * len(grid) * (grid.shape[2] - 2) * (grid.shape[3] - 2)
        mean = (kernel @ sums).view(-1, 4).sum(dim=1) / count
        mean_by_phase = mean.repeat_interleave(4)[:, None]
        peaks, winners, squares = [], [], []
        ctx.piece = PIECE * torch.get_num_threads()
        for images in grid.split(ctx.piece):
            centred = torch.bmm(kernel.expand(len(images), -1, -1), patches(images)).sub_(mean_by_phase)
            peak, winner = torch.ops.aten.max_pool2d_with_indices(windows(centred), [2, 2])
            peaks.append(peak.view(len(images), len(scale), -1))
            winners.append(winner)
            squares.append(
                torch.linalg.vector_norm(centred.view(len(images), len(scale), -1), dim=2).square().sum(dim=0)
            )
        variance = torch.stack(squares).sum(dim=0) / count
        inverse = (variance + eps).rsqrt()
        peak = torch.cat(peaks)
        pooled = torch.addcmul(shift[:, None], peak, (scale * inverse)[:, None]).relu_()
        ctx.save_for_backward(kernel, grid, sums, peak, pooled, scale, inverse, mean, *winners)
        ctx.mark_non_differentiable(mean, variance)
        return pooled, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor, Tensor, None]:
        """As `halving.NormPool`'s, and the kernel's: of the winners, less a part by the values and one by the patches' sums."""
        kernel, grid, sums, peak, pooled, scale, inverse, mean, *winners = ctx.saved_tensors
        arrived = torch.ops.aten.threshold_backward(gradients[0].contiguous(), pooled, 0)
        shift_gradient, scale_gradient = arrived.sum(dim=(0, 2)), (arrived * peak).sum(dim=(0, 2)) * inverse
        gain, count = scale * inverse, 4 * peak[:, 0].numel()
        slope, level = gain * inverse * scale_gradient / count, gain * shift_gradient / count
        sloped = -slope.repeat_interleave(4)[:, None] * kernel
        arrived.mul_(gain[:, None])
        total = (slope * mean - level).repeat_interleave(4)[:, None] * sums
        for images, won, winner in zip(grid.split(ctx.piece), arrived.split(ctx.piece), winners, strict=True):
            taps = patches(images)
            spread = unpool(won, winner)
            spread.baddbmm_(sloped.expand(len(images), -1, -1), taps)
            total += torch.bmm(taps, spread.mT).sum(dim=0).T
        return total, None, scale_gradient, shift_gradient, None


def unpool(gradient: Float[Tensor, "batch channel window"], winner: Tensor) -> Float[Tensor, "batch phase window"]:
    """Each pooled value's gradient where its window's maximum is, zero elsewhere: (batch, 4 · channel, window)."""
    batch, channels, count = gradient.shape
    arrived = gradient.as_strided(winner.shape, winner.stride())  # strides of axes of one place decide what is copied
    like = windows(gradient.new_empty(batch, 4 * channels, count))
    spread = torch.ops.aten.max_pool2d_with_indices_backward(
        arrived, like, [2, 2], [2, 2], [0, 0], [1, 1], False, winner
    )
    return spread.permute(0, 2, 3, 1).reshape(batch, 4 * channels, count)
