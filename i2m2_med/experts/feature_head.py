"""A head on features that a frozen backbone gave: the published shape for pictures with texts."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.experts.published import published_names
from i2m2_med.types import Logits

SPREAD = 0.02
"""Standard deviation of a layer's first weights, as published; biases begin at 0."""


class FeatureHead(nn.Module):
    """Features → logits: Linear(d, 1536) → LayerNorm → GELU → Linear(1536, classes); several modalities are concatenated.

    features: how many there are in all.

    >>> sum(parameter.numel() for parameter in FeatureHead(768, classes=3129).parameters())
    5993529
    """

    def __init__(self, features: int = 768, hidden: int = 1536, labels: int = 1, classes: int = 2) -> None:
        super().__init__()
        self.labels = labels
        self.layers = nn.Sequential(
            nn.Linear(features, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, labels * classes)
        )
        for layer in (self.layers[0], self.layers[3]):
            nn.init.normal_(layer.weight, std=SPREAD)  # pyright: ignore[reportArgumentType]
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, *features: Float[Tensor, "batch *_"]) -> Logits:
        """(batch, features) each → (batch, label, classes)."""
        joined = torch.cat([each.flatten(1) for each in features], dim=1)
        return self.layers(joined).unflatten(1, (self.labels, -1))

    def published_names(self) -> dict[str, str]:
        """Names under `<task>_classifier.image_model.`, `text_model.` or `cat_model.` (of a single expert: `model.`)."""
        return published_names(self, {"layers.": ""})
