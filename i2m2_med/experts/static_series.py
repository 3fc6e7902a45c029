"""The MIMIC-III experts of the paper: static data, hourly series, and both jointly."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.experts.cpu.gru import states_of
from i2m2_med.experts.mlp import MLP
from i2m2_med.experts.published import published_names
from i2m2_med.types import Logits, Series, Static


class StaticMLP(nn.Module):
    """Age, admission type and chronic conditions → logits: MLP channels-10-10, then MLP 10-40-classes."""

    def __init__(self, channels: int = 5, labels: int = 1, classes: int = 6) -> None:
        super().__init__()
        self.labels = labels
        self.encoder = MLP(channels, 10, 10)
        self.head = MLP(10, 40, labels * classes)

    def forward(self, static: Static) -> Logits:
        """(batch, channel) → (batch, label, classes)."""
        return self.head(self.encoder(static)).unflatten(1, (self.labels, -1))

    def published_names(self) -> dict[str, str]:
        """Names under `unimodal_0.`."""
        return published_names(self, {"encoder.": "0.", "head.": "1."})


class SeriesGRU(nn.Module):
    """Hourly vitals and labs → logits: GRU channels→30, Linear 30→15 each hour, then MLP 15·hours-40-classes."""

    def __init__(self, channels: int = 12, hours: int = 24, labels: int = 1, classes: int = 6) -> None:
        super().__init__()
        self.labels = labels
        self.gru = nn.GRU(channels, 30, batch_first=True)
        self.linear = nn.Linear(30, 15)
        self.head = MLP(15 * hours, 40, labels * classes)

    def forward(self, series: Series) -> Logits:
        """(batch, hour, channel) → (batch, label, classes)."""
        states = states_of(self.gru, series)
        return self.head(self.linear(states).flatten(1)).unflatten(1, (self.labels, -1))

    def published_names(self) -> dict[str, str]:
        """Names under `unimodal_1.`."""
        return published_names(self, {"gru.": "0.gru.", "linear.": "0.linear.", "head.": "1."})


class StaticSeriesJoint(nn.Module):
    """Static data and series → logits: MLP 5-10-10 beside GRU 12→width, concatenated, then MLP (10 + hours·width)-40-classes.

    width: 30 as published; a wider one has as many parameters as several experts together.
    """

    def __init__(
        self,
        *,
        channels: int = 12,
        hours: int = 24,
        static_channels: int = 5,
        labels: int = 1,
        classes: int = 6,
        width: int = 30,
    ) -> None:
        super().__init__()
        self.labels = labels
        self.static = MLP(static_channels, 10, 10)
        self.gru = nn.GRU(channels, width, batch_first=True)
        self.head = MLP(10 + width * hours, 40, labels * classes)

    def forward(self, static: Float[Tensor, "batch attribute"], series: Series) -> Logits:
        """(batch, attribute), (batch, hour, channel) → (batch, label, classes)."""
        states = states_of(self.gru, series)
        features = torch.cat([self.static(static), states.flatten(1)], dim=1)
        return self.head(features).unflatten(1, (self.labels, -1))

    def published_names(self) -> dict[str, str]:
        """Names under `inter.`; its scalars `inter`, `intra_1`, `intra_2` are never used and have no counterpart."""
        return published_names(self, {"static.": "encoders.0.", "gru.": "encoders.1.gru."})
