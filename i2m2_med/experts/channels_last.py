"""Arithmetic per channel on (batch, channel, height, width) whose channels lie last in memory: passes over long contiguous rows.

Where channels are few, what broadcasts or sums along them alone runs in steps as short as they are few.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "batch channel height width"]
PerChannel = Float[Tensor, "channel"]
LAST = torch.channels_last


def table(values: Images) -> Float[Tensor, "line place"]:
    """A view in long rows: (batch · height, width · channel)."""
    return values.permute(0, 2, 3, 1).flatten(2).flatten(0, 1)


def tiled(vector: PerChannel, values: Images) -> Float[Tensor, "place"]:
    """A number per channel as `table(values)` broadcasts it."""
    return repeated(vector, values.shape[3])


def repeated(vector: PerChannel, times: int) -> Float[Tensor, "place"]:
    """The vector, as often as said: `Tensor.repeat` in a tenth of its time."""
    return vector.expand(times, -1).flatten()


def total(values: Images) -> PerChannel:
    """The sum of each channel."""
    return table(values).sum(dim=0).view(-1, values.shape[1]).sum(dim=0)


def scale_and_shift(values: Images, scale: PerChannel, shift: PerChannel) -> Images:
    """scale · values + shift, in new memory."""
    made = torch.addcmul(tiled(shift, values), table(values), tiled(scale, values))
    return made.view(len(values), values.shape[2], values.shape[3], -1).permute(0, 3, 1, 2)
