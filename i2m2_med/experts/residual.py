"""The pre-activation residual block (He et al. 2016) that the image experts are stacked from."""

import math
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.utils.checkpoint import checkpoint as recompute

from i2m2_med.errors import ConfigError

FeatureMap = Float[Tensor, "batch _ _ _"]  # (batch, channel, height, width); a stage changes all but the batch
Images = Float[Tensor, "batch _ height width"]  # any number of channels each
Norm = Literal["group", "layer", "batch"]
Stem = Literal["published", "strided"]


def make_norm(norm: str, channels: int) -> nn.Module:
    """group: 32 groups, fewer where the channels don't divide; layer: one over channels and space; batch: BatchNorm."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "group":
        return nn.GroupNorm(math.gcd(32, channels), channels)
    if norm == "layer":
        return nn.GroupNorm(1, channels)
    raise ConfigError(f"norm: {norm!r} is not one of 'group', 'layer', 'batch'.")


def make_stem(stem: str, channels: int, width: int) -> nn.Conv2d:
    """published: 3×3 at full resolution; strided: 7×7 in steps of 4, about 16 times cheaper (for CPUs and demos)."""
    if stem == "published":
        return nn.Conv2d(channels, width, 3, padding=1, bias=False)
    if stem == "strided":
        return nn.Conv2d(channels, width, 7, stride=4, padding=3, bias=False)
    raise ConfigError(f"stem: {stem!r} is not one of 'published', 'strided'.")


class PreActBlock(nn.Module):
    """norm → ReLU → conv 3×3, twice, plus the input (or a 1×1 of the activated input where the shape changes)."""

    def __init__(self, width_in: int, width: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.bn1 = make_norm(norm, width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = make_norm(norm, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        same = stride == 1 and width_in == width
        self.shortcut = None if same else nn.Sequential(nn.Conv2d(width_in, width, 1, stride=stride, bias=False))

    def forward(self, image: FeatureMap) -> FeatureMap:
        """(batch, width_in, height, width) → (batch, width, height / stride, width / stride)."""
        active = relu(self.bn1(image))
        residual = self.conv2(relu(self.bn2(self.conv1(active))))
        return residual + (image if self.shortcut is None else self.shortcut(active))


class Stage(nn.Sequential):
    """Blocks of one width; the first may change width and resolution. checkpoint: recompute activations in backward."""

    def __init__(self, width_in: int, width: int, *, blocks: int, stride: int, norm: Norm, checkpoint: bool) -> None:
        if checkpoint and norm == "batch":
            raise ConfigError(
                "checkpoint: recomputing would count every batch twice in BatchNorm; use norm 'group' or 'layer'."
            )
        first = PreActBlock(width_in, width, stride, norm)
        super().__init__(first, *(PreActBlock(width, width, 1, norm) for _ in range(blocks - 1)))
        self.checkpoint = checkpoint

    def forward(self, input: FeatureMap) -> FeatureMap:
        """As the blocks one after the other, with the same gradients whether recomputed or kept."""
        if self.checkpoint and self.training:
            for block in self:
                input = recompute(block, input, use_reentrant=False)
            return input
        return super().forward(input)


def he_initialise(network: nn.Module) -> None:
    """He initialisation of the convolutions by fan-out, as published."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
