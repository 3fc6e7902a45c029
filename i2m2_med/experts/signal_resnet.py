"""Signals (ECG and its kind) → features: a residual network over time (Wang, Yan, Oates: Time Series Classification from Scratch, 2017)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

Signals = Float[Tensor, "batch _ _"]  # (batch, channel, time); a block changes all but the batch


class SignalBlock(nn.Module):
    """conv 7 → norm → ReLU → conv 3 → norm, plus the input (a 1×1 convolution of it), ReLU; `stride` shortens time."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv1d(width_in, width, 7, stride=stride, padding=3, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm1d(width),
        )
        self.shortcut = nn.Conv1d(width_in, width, 1, stride=stride, bias=False)

    def forward(self, signal: Signals) -> Signals:
        """(batch, width_in, time) → (batch, width, time / stride)."""
        return relu(self.network(signal) + self.shortcut(signal))


class SignalEncoder(nn.Module):
    """Signals → features: three residual blocks in steps of 4, 2 and 2, then the mean and the largest value over time.

    Each channel is first standardised over its own samples of the batch, whatever its unit.
    """

    def __init__(self, channels: int = 1, width: int = 32) -> None:
        super().__init__()
        self.features = 2 * width
        self.standardise = nn.BatchNorm1d(channels, affine=False)
        self.blocks = nn.Sequential(
            SignalBlock(channels, width, 4), SignalBlock(width, width, 2), SignalBlock(width, width, 2)
        )

    def forward(self, signal: Signals) -> Float[Tensor, "batch features"]:
        """(batch, channel, time) → (batch, 2 · width)."""
        blocks = self.blocks(self.standardise(signal))
        return torch.cat([blocks.mean(dim=2), blocks.amax(dim=2)], dim=1)
