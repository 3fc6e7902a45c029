"""LeNet, the AV-MNIST expert of one modality."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from i2m2_med.errors import ConfigError
from i2m2_med.experts.mlp import MLP
from i2m2_med.experts.published import published_names
from i2m2_med.types import Image, Logits


class LeNetEncoder(nn.Module):
    """Square images → features: blocks of conv (5×5, then 3×3; no bias) → BatchNorm → ReLU → max-pool 2.

    size: side in pixels; the blocks halve it until one pixel is left (28: 4 blocks, 112: 6). width: channels of the
    first block, doubled by each further one, so that there are width · 2^(blocks − 1) features.
    """

    def __init__(self, size: int, channels: int, width: int) -> None:
        super().__init__()
        if size < 4:
            raise ConfigError(f"size: {size} is too small for a LeNet; images need 4×4 pixels or more.")
        self.size = size
        widths = [width * 2**block for block in range(size.bit_length() - 1)]
        first = nn.Conv2d(channels, width, 5, padding=2, bias=False)
        further = (nn.Conv2d(wide // 2, wide, 3, padding=1, bias=False) for wide in widths[1:])
        convs = [first, *further]
        for conv in convs:
            nn.init.kaiming_uniform_(conv.weight)
        self.convs = nn.ModuleList(convs)
        self.bns = nn.ModuleList(nn.BatchNorm2d(wide) for wide in widths)
        self.features = widths[-1]

    def forward(self, image: Image) -> Float[Tensor, "batch features"]:
        """(batch, channel, size, size) → (batch, features)."""
        blocks: Any = zip(self.convs, self.bns, strict=True)
        for conv, norm in blocks:
            image = max_pool2d(relu(norm(conv(image))), 2)
        return image.flatten(1)


class LeNet(nn.Module):
    """One image or spectrogram → logits: `LeNetEncoder` of width 3, then MLP features-100-classes."""

    def __init__(self, size: int = 28, channels: int = 1, width: int = 3, labels: int = 1, classes: int = 10) -> None:
        super().__init__()
        self.labels = labels
        self.encoder = LeNetEncoder(size, channels, width)
        self.head = MLP(self.encoder.features, 100, labels * classes)

    def forward(self, image: Image) -> Logits:
        """(batch, channel, size, size) → (batch, label, classes)."""
        return self.head(self.encoder(image)).unflatten(1, (self.labels, -1))

    def published_names(self) -> dict[str, str]:
        """Names under `unimodal_0.` (image) or `unimodal_1.` (audio)."""
        return published_names(self, {"encoder.": "0.", "head.": "1."})
