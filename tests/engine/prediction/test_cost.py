"""Operations are counted whatever a network is made of: what a library does in one piece is no gift."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from i2m2_med.engine.prediction.cost import in_products

STEPS, WIDTH = 7, 8


class Attention(nn.Module):
    """Of every step to every step, without weights."""

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """(batch, step, width), the same."""
        return nn.functional.scaled_dot_product_attention(series, series, series)


@pytest.mark.parametrize(
    ("network", "products"),
    [
        (nn.LSTM(WIDTH, WIDTH, batch_first=True), 8 * WIDTH * WIDTH * STEPS),
        (nn.GRU(WIDTH, WIDTH, batch_first=True), 6 * WIDTH * WIDTH * STEPS),
        (
            nn.TransformerEncoderLayer(WIDTH, 2, WIDTH, batch_first=True),
            6 * WIDTH * WIDTH * STEPS + 2 * STEPS**2 * WIDTH,
        ),
        (Attention(), 2 * STEPS**2 * WIDTH),
        (nn.Conv1d(STEPS, WIDTH, 3, padding=1), 3 * STEPS * WIDTH * WIDTH),
    ],
    ids=["lstm", "gru", "transformer", "attention", "convolution"],
)
def test_every_product_is_counted(network: nn.Module, products: int) -> None:
    fast = torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad(), in_products(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, STEPS, WIDTH))
    assert counter.get_total_flops() == 2 * products
    assert torch.backends.mha.get_fastpath_enabled() == fast
