"""What a picture is made of, as sets of parts: objects with their features, or the cells of a convolution's map."""

from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

Parts = Float[Tensor, "batch set part width"]
There = Bool[Tensor, "batch set part"]


class ObjectParts(nn.Module):
    """Sets of objects → parts: a layer on each object's features, the first of which says that it is there."""

    def __init__(self, features: int = 18, width: int = 64) -> None:
        super().__init__()
        self.width = width
        self.layer = nn.Linear(features, width)

    def forward(self, objects: Float[Tensor, "batch set object features"]) -> tuple[Parts, There]:
        """(batch, set, object, features) → (batch, set, object, width), and which objects are there."""
        return torch.relu(self.layer(objects)), objects[..., 0] > 0


class PictureParts(nn.Module):
    """Pictures → parts: four convolutions of stride 2, each cell with its place in the picture.

    A study of several pictures (or boxes) gives a set of parts for each.
    """

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        self.width = width
        widths = [channels, width // 4, width // 2, width, width]
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(4, after) for after in widths[1:])
        self.place = nn.Linear(2, width)

    def forward(self, pictures: Float[Tensor, "batch picture channel rows columns"]) -> tuple[Parts, There]:
        """(batch, picture, channel, height, width) → (batch, picture, cell, width), and that every cell is there."""
        batch, count = pictures.shape[:2]
        cells = pictures.flatten(0, 1)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            cells = torch.relu(norm(conv(cells)))
        rows, columns = (torch.linspace(-1, 1, side, device=cells.device) for side in cells.shape[2:])
        places = self.place(torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1))
        parts = (cells.flatten(2).transpose(1, 2) + places).unflatten(0, (batch, count))
        return parts, torch.ones(parts.shape[:3], dtype=torch.bool, device=parts.device)
