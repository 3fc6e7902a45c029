"""The first block of a LeNet in training: conv 5×5 of an image → BatchNorm → max-pool 2 → ReLU, made for one core's cache.

One channel is too few for a convolution's vector units: there tiles of 4×4 pixels are computed at once, by one matrix product
with the 8×8 pixels that they read. The four pixels of all pooling windows lie in four planes, so that pooling is a maximum of
planes. A few images at a time, what the convolution makes is never written to memory as a whole, and what costs less to make
again than to keep is made again in the backward pass. No gradient goes back to the image.
"""

from itertools import product
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from i2m2_med.experts.channels_last import LAST, Images, repeated, scale_and_shift, table, tiled, total

Plane = Float[Tensor, "_ tile"]
TILE = 4
"""Side of a tile in pixels: two pooling windows."""
PLACES = list(product((0, 1), repeat=4))
"""A tile's pixels as they lie in memory: row and column within their pooling window, then row and column of that window."""
PIECE = 150_000
"""Values of the convolution at a time for each thread: they and what is made of them fit in a core's second-level cache."""


def by_pixel(kernel: Float[Tensor, "output channel 5 5"]) -> Float[Tensor, "place tap"]:
    """The kernel that gives a tile's sixteen pixels at once, as a matrix: (16 · output, 64 · channel)."""
    places = [(2 * window_row + row, 2 * window_column + column) for row, column, window_row, window_column in PLACES]
    return torch.stack([pad(kernel, (x, 3 - x, y, 3 - y)) for y, x in places]).flatten(0, 1).flatten(1)


class Room(NamedTuple):
    """Memory for a piece of the batch, the same for all pieces, so that it stays in the cache."""

    taps: Float[Tensor, "tap tile"]
    values: Float[Tensor, "4*place tile"]
    planes: Float[Tensor, "5 place tile"]

    @classmethod
    def of(cls, kernel: Tensor, tiles: int) -> "Room":
        """For as many tiles at a time."""
        shapes = (kernel.shape[1], tiles), (len(kernel), tiles), (5, len(kernel) // 4, tiles)
        return cls(*(kernel.new_empty(shape) for shape in shapes))

    def first(self, tiles: int) -> "Room":
        """For fewer tiles."""
        return Room(*(memory[..., :tiles] for memory in self))


def fill_patches(images: Images, taps: Float[Tensor, "tap tile"]) -> Float[Tensor, "tap tile"]:
    """What each tile reads of images with a border of 2, by channel, row and column: (64 · channel, batch · tiles), into `taps`."""
    found = images.unfold(2, 8, TILE).unfold(3, 8, TILE).permute(1, 4, 5, 0, 2, 3)
    taps.unflatten(0, found.shape[:3]).unflatten(3, found.shape[3:]).copy_(found)
    return taps


def by_window(image: Images) -> Float[Tensor, "2 2 channel batch row column"]:
    """A view of images: each tile's four pooling windows as they lie in planes."""
    return image.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).permute(3, 5, 1, 0, 2, 4)


class FirstBlock(torch.autograd.Function):
    """Convolution, BatchNorm by batch statistics, max-pool and ReLU, for scales ≥ 0, which keep order: pooled first, normalised second."""

    @staticmethod
    def forward(
        ctx: Any, kernel: Tensor, padded: Tensor, scale: Tensor, shift: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(16 · channel, tap), (batch, c, 4h + 4, 4w + 4) → (batch, channel, 2h, 2w), and the batch's mean and (biased) variance."""
        height, width = (side - TILE for side in padded.shape[2:])
        tiles = height * width // TILE**2
        sums = fill_patches(padded.sum(dim=0, keepdim=True), padded.new_empty(kernel.shape[1], tiles)).sum(dim=1)
        count = len(padded) * height * width
        mean = (kernel @ sums).view(16, -1).sum(dim=0) / count
        away = -repeated(mean, 16)[:, None]
        squares = torch.zeros_like(kernel[:, 0])
        peak = kernel.new_empty(len(padded), height // 2, width // 2, len(scale)).permute(0, 3, 1, 2)
        ctx.piece = max(1, PIECE * torch.get_num_threads() // (len(kernel) * tiles))
        room = Room.of(kernel, min(ctx.piece, len(padded)) * tiles)
        for images, best in zip(padded.split(ctx.piece), peak.split(ctx.piece), strict=True):
            here = room.first(len(images) * tiles)
            torch.addmm(away, kernel, fill_patches(images, here.taps), out=here.values)
            squares += torch.linalg.vector_norm(here.values, dim=1).square_()
            windows = by_window(best)
            windows.copy_(highest_of(here).view_as(windows))
        variance = squares.view(16, -1).sum(dim=0) / count
        inverse = (variance + eps).rsqrt()
        pooled = scale_and_shift(peak, scale * inverse, shift).relu_()
        ctx.save_for_backward(kernel, padded, sums, peak, pooled, scale, inverse, mean)
        ctx.mark_non_differentiable(mean, variance)
        return pooled, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor, Tensor, None]:
        """As `halving_further.NormPool`'s, and the kernel's: of the winners, less a part by the values and one by the patches' sums."""
        kernel, padded, sums, peak, pooled, scale, inverse, mean = ctx.saved_tensors
        arrived = torch.ops.aten.threshold_backward(gradients[0].contiguous(memory_format=LAST), pooled, 0)
        shift_gradient, scale_gradient = total(arrived), total(arrived * peak) * inverse
        gain, count = scale * inverse, 4 * peak.numel() // len(scale)
        slope, level = gain * inverse * scale_gradient / count, gain * shift_gradient / count
        table(arrived).mul_(tiled(gain, arrived))
        of_kernel = repeated(slope * mean - level, 16)[:, None] * sums
        tiles = peak[0, 0].numel() // 4
        room = Room.of(kernel, min(ctx.piece, len(padded)) * tiles)
        for images, won in zip(padded.split(ctx.piece), arrived.split(ctx.piece), strict=True):
            here = room.first(len(images) * tiles)
            torch.mm(kernel, fill_patches(images, here.taps), out=here.values)
            to_winners(here, by_window(won).flatten(3).flatten(0, 2), -repeated(slope, 4)[:, None])
            of_kernel.addmm_(here.values, here.taps.T)
        return of_kernel, None, scale_gradient, shift_gradient, None


def highest_of(room: Room) -> Plane:
    """The maximum of the four planes of `room.values`; `room.planes` then starts with those of either pair."""
    pixels = room.values.unflatten(0, (2, 2, -1))
    pairs = torch.maximum(pixels[:, 0], pixels[:, 1], out=room.planes[:2])
    return torch.maximum(pairs[0], pairs[1], out=room.planes[2])


def to_winners(room: Room, gradient: Plane, factor: Float[Tensor, "place 1"]) -> None:
    """`highest_of` backwards, into `room.values`: factor · values, plus the gradient where the maximum (the first of equals) is."""
    highest_of(room)
    pixels = room.values.unflatten(0, (2, 2, -1))
    pairs, winners, winner = room.planes[:2], room.planes[2:4], room.planes[4]
    # 1 where the first of two holds their maximum, else 0: arithmetic with numbers is several times faster than with bool
    torch.ge(pixels[:, 0], pixels[:, 1], out=winners)
    torch.ge(pairs[0], pairs[1], out=winner)
    torch.mul(gradient, winner, out=pairs[0])
    torch.sub(gradient, pairs[0], out=pairs[1])
    winners *= pairs
    pixels *= factor
    pixels[:, 0] += winners
    pixels[:, 1] += pairs.sub_(winners)
