"""WideResNet (Zagoruyko & Komodakis 2016), the single large network that the paper's Figure 4 holds I2M2 against."""

import torch
from torch import nn
from torch.nn.functional import relu

from i2m2_med.errors import ConfigError
from i2m2_med.experts.residual import Images, Norm, Stage, Stem, he_initialise, make_norm, make_stem
from i2m2_med.types import Logits


class WideResNet(nn.Module):
    """Images → logits: a stem, three stages of n pre-activation blocks (16k, 32k, 64k channels), norm, pool, linear.

    depth: 6n + 2 (convolutions of the blocks, stem and head, as in ResNet-20) or 6n + 4 (the shortcuts counted too);
    the paper's 20-3 has n = 3, k = widen = 3. The other arguments are those of `PreActResNet18`.
    """

    def __init__(
        self,
        depth: int = 20,
        widen: int = 3,
        *,
        channels: int = 1,
        labels: int = 4,
        classes: int = 2,
        norm: Norm = "group",
        stem: Stem = "published",
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        if blocks < 1 or depth - 6 * blocks not in (2, 4):
            raise ConfigError(f"depth: {depth} is neither 6n + 2 nor 6n + 4; the paper's is 20.")
        width = 16 * widen
        self.labels = labels
        self.stem = make_stem(stem, channels, 16)
        self.layer1 = Stage(16, width, blocks=blocks, stride=1, norm=norm, checkpoint=checkpoint)
        self.layer2 = Stage(width, 2 * width, blocks=blocks, stride=2, norm=norm, checkpoint=checkpoint)
        self.layer3 = Stage(2 * width, 4 * width, blocks=blocks, stride=2, norm=norm, checkpoint=checkpoint)
        self.norm = make_norm(norm, 4 * width)
        self.head = nn.Linear(4 * width, labels * classes)
        he_initialise(self)

    def forward(self, *images: Images) -> Logits:
        """One or more images of one size, (batch, channel, height, width) each, joined on the channel axis."""
        features = self.layer3(self.layer2(self.layer1(self.stem(torch.cat(images, dim=1)))))
        pooled = relu(self.norm(features)).mean(dim=(2, 3))
        return self.head(pooled).unflatten(1, (self.labels, -1))

    def published_names(self) -> dict[str, str]:
        """Empty: the published code holds no such network; Figure 4 names it without its parameters."""
        return {}
