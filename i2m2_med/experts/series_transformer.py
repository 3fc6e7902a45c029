"""A small transformer over hours that attends only to hours in which something was measured."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.experts.notes import AttentionPool
from i2m2_med.types import Logits, Series


class SeriesTransformerEncoder(nn.Module):
    """Values, measured, hours since measured → features: each hour a token with a learned place, then attention over hours.

    channels: of the values; the series has three times as many (`series_channels: [value, mask, since]`). The mask may be
    standardised: above 0 is measured. An hour without any measurement is not read; a stay without any is read whole.
    """

    def __init__(
        self,
        channels: int = 12,
        hours: int = 24,
        *,
        width: int = 32,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.features = width
        self.embed = nn.Linear(3 * channels, width)
        self.place = nn.Parameter(0.02 * torch.randn(hours, width))
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.pool = AttentionPool(width)

    def forward(self, series: Series) -> Float[Tensor, "batch features"]:
        """(batch, hour, 3 · channels) → (batch, width)."""
        if series.shape[2] != 3 * self.channels:
            raise ValueError(
                f"a transformer over {self.channels} channels reads {3 * self.channels} columns (value, mask, since), "
                f"but the series has {series.shape[2]}; set source.series_channels: [value, mask, since]"
            )
        measured = (series[..., self.channels : 2 * self.channels] > 0).any(dim=-1)
        measured = measured | ~measured.any(dim=1, keepdim=True)
        states = self.layers(self.embed(series) + self.place, src_key_padding_mask=~measured)
        return self.pool(states, measured)


class SeriesTransformer(nn.Module):
    """Hourly series with mask and time since measured → logits."""

    def __init__(
        self,
        channels: int = 12,
        hours: int = 24,
        *,
        width: int = 32,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.1,
        labels: int = 1,
        classes: int = 2,
    ) -> None:
        super().__init__()
        self.labels = labels
        self.encoder = SeriesTransformerEncoder(
            channels, hours, width=width, heads=heads, layers=layers, dropout=dropout
        )
        self.head = nn.Linear(width, labels * classes)

    def forward(self, series: Series) -> Logits:
        """(batch, hour, 3 · channels) → (batch, label, classes)."""
        return self.head(self.encoder(series)).unflatten(1, (self.labels, -1))
