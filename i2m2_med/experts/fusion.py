"""The AV-MNIST joint experts: two LeNets of width 6, fused by concatenation or by a low-rank tensor product."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.experts.lenet import LeNetEncoder
from i2m2_med.experts.mlp import MLP
from i2m2_med.experts.published import published_names
from i2m2_med.types import Logits

Features = Float[Tensor, "batch _"]
Images = Float[Tensor, "batch channel _ _"]  # modalities of different size


class LateFusion(nn.Module):
    """Images and spectrograms → logits: one encoder each, features concatenated, then MLP features-100-classes.

    sizes: the side of each modality in pixels, in the order that the expert reads them.
    """

    def __init__(
        self, sizes: Sequence[int] = (28, 112), channels: int = 1, width: int = 6, labels: int = 1, classes: int = 10
    ) -> None:
        super().__init__()
        self.labels = labels
        encoders = [LeNetEncoder(size, channels, width) for size in sizes]
        self.encoders = nn.ModuleList(encoders)
        self.head = MLP(sum(encoder.features for encoder in encoders), 100, labels * classes)

    def forward(self, *images: Images) -> Logits:
        """(batch, channel, size, size) for each size → (batch, label, classes)."""
        encoded = [encoder(image) for encoder, image in zip(self.encoders, images, strict=True)]
        return self.head(torch.cat(encoded, dim=1)).unflatten(1, (self.labels, -1))

    def published_names(self) -> dict[str, str]:
        """Names under `lf.`."""
        return published_names(self, {})


class LowRankProduct(nn.Module):
    """Low-rank tensor fusion (Liu et al. 2018): z = Σᵣ wᵣ Πₘ [1, xₘ] Wₘᵣ + b.

    The factors Wₘ (rank, features + 1, outputs) are parameters and trained; the published code keeps them in a
    plain list, where no optimizer and no checkpoint ever sees them.
    """

    def __init__(self, features: Sequence[int], outputs: int, rank: int) -> None:
        super().__init__()
        self.factors = nn.ParameterList(torch.empty(rank, count + 1, outputs) for count in features)
        self.fusion_weights = nn.Parameter(torch.empty(1, rank))
        self.fusion_bias = nn.Parameter(torch.zeros(1, outputs))
        for weights in (*self.factors, self.fusion_weights):
            nn.init.xavier_normal_(weights)

    def forward(self, *features: Features) -> Features:
        """(batch, features) for each factor → (batch, outputs)."""
        product = torch.ones((), device=self.fusion_weights.device)
        for values, factor in zip(features, self.factors, strict=True):
            mapped = torch.nn.functional.pad(values, (1, 0), value=1.0) @ factor  # (rank, batch, outputs)
            product = product * mapped.to(factor.dtype)  # products of 16-bit numbers soon leave their range
        return torch.tensordot(self.fusion_weights[0], product, dims=1) + self.fusion_bias


class LowRankFusion(nn.Module):
    """Images and spectrograms → logits: one encoder each, `LowRankProduct` of the features, MLP outputs-100-classes."""

    def __init__(
        self,
        *,
        sizes: Sequence[int] = (28, 112),
        channels: int = 1,
        width: int = 6,
        rank: int = 40,
        outputs: int = 120,
        labels: int = 1,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.labels = labels
        encoders = [LeNetEncoder(size, channels, width) for size in sizes]
        self.encoders = nn.ModuleList(encoders)
        self.fuse = LowRankProduct([encoder.features for encoder in encoders], outputs, rank)
        self.head = MLP(outputs, 100, labels * classes)

    def forward(self, *images: Images) -> Logits:
        """(batch, channel, size, size) for each size → (batch, label, classes)."""
        encoded = [encoder(image) for encoder, image in zip(self.encoders, images, strict=True)]
        return self.head(self.fuse(*encoded)).unflatten(1, (self.labels, -1))

    def published_names(self) -> dict[str, str]:
        """Names under `lrtf.`; `fuse.factors.*` are what its list would be called if it were registered."""
        return published_names(self, {})
