"""A joint expert over any subset of modalities: one encoder each, concatenated, and a small head."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.experts.cpu.gru import states_of
from i2m2_med.experts.mlp import MLP
from i2m2_med.types import Logits, Series, Static


class Joint(nn.Module):
    """logits = MLP(encoder₁(x₁) ⊕ encoder₂(x₂) ⊕ …), hidden width 40 as in the published joint expert.

    encoders: in the order in which the expert reads its modalities; each says how many `features` it gives per sample.

    >>> joint = Joint([StaticEncoder(5), SeriesEncoder(12, 24)], labels=1, classes=6)
    >>> joint(torch.zeros(2, 5), torch.zeros(2, 24, 12)).shape
    torch.Size([2, 1, 6])
    """

    def __init__(self, encoders: Sequence[nn.Module], hidden: int = 40, labels: int = 1, classes: int = 2) -> None:
        super().__init__()
        self.labels = labels
        self.encoders = nn.ModuleList(encoders)
        self.head = MLP(sum(int(encoder.features) for encoder in encoders), hidden, labels * classes)  # type: ignore[arg-type]

    def forward(self, *modalities: Tensor) -> Logits:
        """Each (batch, …) as its encoder takes it → (batch, label, classes)."""
        if len(modalities) != len(self.encoders):
            raise ValueError(f"a joint expert of {len(self.encoders)} encoders was given {len(modalities)} modalities")
        encoded = [encoder(modality) for encoder, modality in zip(self.encoders, modalities, strict=True)]
        return self.head(torch.cat(encoded, dim=1)).unflatten(1, (self.labels, -1))


class StaticEncoder(nn.Module):
    """Static data → features: the published MLP channels-10-10."""

    def __init__(self, channels: int = 5, features: int = 10) -> None:
        super().__init__()
        self.features = features
        self.network = MLP(channels, 10, features)

    def forward(self, static: Static) -> Float[Tensor, "batch features"]:
        """(batch, channel) → (batch, features)."""
        return self.network(static)


class SeriesEncoder(nn.Module):
    """Hourly series → features: the states of the published GRU channels→30, all hours."""

    def __init__(self, channels: int = 12, hours: int = 24, hidden: int = 30) -> None:
        super().__init__()
        self.features = hidden * hours
        self.gru = nn.GRU(channels, hidden, batch_first=True)

    def forward(self, series: Series) -> Float[Tensor, "batch features"]:
        """(batch, hour, channel) → (batch, hour · hidden)."""
        return states_of(self.gru, series).flatten(1)
