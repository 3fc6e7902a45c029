"""GRU-D (Che, Purushotham, Cho, Sontag, Liu: Recurrent Neural Networks for Multivariate Time Series with Missing Values,
Scientific Reports 2018): a GRU that lets what was measured long ago fade."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.experts.mlp import MLP
from i2m2_med.types import Logits, Series


class GRUDEncoder(nn.Module):
    """Values x, measured m, hours since measured δ → features.

    γ(δ) = exp(−max(0, W δ + b)),   x̂ = m x + (1 − m)(γₓ x + (1 − γₓ) x̄),   h ← GRU([x̂, m], γₕ ⊙ h)

    x holds the last value where nothing was measured; x̄ = 0, the training mean of a standardised channel. γₓ has one weight
    per channel, γₕ a full matrix. The mask may be standardised too: above 0 is measured, and δ may have any scale.
    channels: of the values; the series has three times as many (`series_channels: [value, mask, since]`).
    """

    def __init__(self, channels: int = 12, hours: int = 24, hidden: int = 30) -> None:
        super().__init__()
        self.channels = channels
        self.features = hidden * hours
        self.fade_weight = nn.Parameter(torch.zeros(channels))
        self.fade_bias = nn.Parameter(torch.zeros(channels))
        self.forget = nn.Linear(channels, hidden)
        self.cell = nn.GRUCell(2 * channels, hidden)

    def forward(self, series: Series) -> Float[Tensor, "batch features"]:
        """(batch, hour, 3 · channels) → (batch, hour · hidden)."""
        if series.shape[2] != 3 * self.channels:
            raise ValueError(
                f"GRU-D over {self.channels} channels reads {3 * self.channels} columns (value, mask, since), "
                f"but the series has {series.shape[2]}; set source.series_channels: [value, mask, since]"
            )
        value, mask, since = series.split(self.channels, dim=2)
        measured = (mask > 0).to(value.dtype)
        fade = torch.exp(-torch.relu(self.fade_weight * since + self.fade_bias))
        seen = torch.cat([measured * value + (1 - measured) * fade * value, measured], dim=2)
        keep = torch.exp(-torch.relu(self.forget(since)))
        state = value.new_zeros(len(value), self.cell.hidden_size)
        states: list[Tensor] = []
        for hour in range(series.shape[1]):
            state = self.cell(seen[:, hour], keep[:, hour] * state)
            states.append(state)
        return torch.cat(states, dim=1)


class GRUD(nn.Module):
    """Hourly series with mask and time since measured → logits: GRU-D, then MLP hidden·hours-40-classes."""

    def __init__(
        self, channels: int = 12, hours: int = 24, hidden: int = 30, labels: int = 1, classes: int = 2
    ) -> None:
        super().__init__()
        self.labels = labels
        self.encoder = GRUDEncoder(channels, hours, hidden)
        self.head = MLP(self.encoder.features, 40, labels * classes)

    def forward(self, series: Series) -> Logits:
        """(batch, hour, 3 · channels) → (batch, label, classes)."""
        return self.head(self.encoder(series)).unflatten(1, (self.labels, -1))
