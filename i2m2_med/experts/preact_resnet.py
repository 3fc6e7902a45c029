"""PreActResNet-18, the knee expert of the paper, and its encoder."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.experts.published import published_names
from i2m2_med.experts.residual import Images, Norm, Stage, Stem, he_initialise, make_stem
from i2m2_med.types import Logits

PUBLISHED_HEADS = ("abnormal", "mtear", "acl", "cartilage")


class PreActStages(nn.Module):
    """A stem, four stages of two pre-activation blocks each, and an average pool: images → features.

    channels: of all the images it reads together (magnitude and phase: 2). norm: group (32 groups) | layer | batch.
    stem: published (full resolution) | strided (7×7 in steps of 4). width: of the first stage, doubled three times.
    pool: side of the pooled map. checkpoint: recompute each block's activations in the backward pass, for the same gradients in
    less memory. Any image of 32×32 or more; no final norm, as in the published code.
    """

    def __init__(self, channels: int, norm: Norm, stem: Stem, width: int, pool: int, checkpoint: bool) -> None:
        super().__init__()
        self.channels = channels
        self.features = 8 * width * pool * pool
        self.stem = make_stem(stem, channels, width)
        self.layer1 = Stage(width, width, blocks=2, stride=1, norm=norm, checkpoint=checkpoint)
        self.layer2 = Stage(width, 2 * width, blocks=2, stride=2, norm=norm, checkpoint=checkpoint)
        self.layer3 = Stage(2 * width, 4 * width, blocks=2, stride=2, norm=norm, checkpoint=checkpoint)
        self.layer4 = Stage(4 * width, 8 * width, blocks=2, stride=2, norm=norm, checkpoint=checkpoint)
        self.pool = nn.AdaptiveAvgPool2d(pool)

    def encode(self, *images: Images) -> Float[Tensor, "batch features"]:
        """One or more images of one size, (batch, channel, height, width) each, joined on the channel axis → (batch, features)."""
        image = self.stem(torch.cat(images, dim=1))
        return self.pool(self.layer4(self.layer3(self.layer2(self.layer1(image))))).flatten(1)


class PreActEncoder(PreActStages):
    """Images → features, for experts that join several encoders; arguments as of `PreActStages`."""

    def __init__(
        self,
        channels: int = 1,
        *,
        norm: Norm = "group",
        stem: Stem = "published",
        width: int = 64,
        pool: int = 1,
        checkpoint: bool = False,
    ) -> None:
        super().__init__(channels, norm, stem, width, pool, checkpoint)
        he_initialise(self)

    def forward(self, image: Images) -> Float[Tensor, "batch features"]:
        """(batch, channel, height, width) → (batch, features)."""
        return self.encode(image)


class PreActResNet18(PreActStages):
    """Images → logits: `PreActStages` with one linear head per label on the pooled map."""

    def __init__(
        self,
        channels: int = 1,
        *,
        labels: int = 4,
        classes: int = 2,
        norm: Norm = "group",
        stem: Stem = "published",
        width: int = 64,
        pool: int = 10,
        checkpoint: bool = False,
    ) -> None:
        super().__init__(channels, norm, stem, width, pool, checkpoint)
        self.heads = nn.ModuleList(nn.Linear(self.features, classes) for _ in range(labels))
        he_initialise(self)

    def forward(self, *images: Images) -> Logits:
        """One or more images of one size, (batch, channel, height, width) each, joined on the channel axis."""
        flat = self.encode(*images)
        return torch.stack([head(flat) for head in self.heads], dim=1)

    def published_names(self) -> dict[str, str]:
        """Names under `model_imag.` (magnitude!), `model_real.` (phase!) or `model_cat.` (joint); up to four labels."""
        heads = {f"heads.{row}.": f"linear_{name}." for row, name in enumerate(PUBLISHED_HEADS[: len(self.heads)])}
        return published_names(self, {"stem.": "conv1_p." if self.channels == 2 else "conv1.", **heads})
