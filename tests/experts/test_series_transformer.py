"""The transformer over hours: what was not measured is not read."""

import pytest
import torch

from i2m2_med.experts import Joint, SeriesTransformer, SeriesTransformerEncoder, StaticEncoder


@pytest.fixture
def series() -> torch.Tensor:
    """(3, 5, 3 · 2): hours 1 and 4 of the first stay, and every hour of the last, hold no measurement."""
    torch.manual_seed(0)
    made = torch.cat([torch.randn(3, 5, 2), torch.ones(3, 5, 2), torch.rand(3, 5, 2)], dim=2)
    made[0, [1, 4], 2:4] = 0
    made[2, :, 2:4] = 0
    return made


def test_gives_logits_for_every_label(series: torch.Tensor) -> None:
    network = SeriesTransformer(2, 5, width=8, labels=3, classes=4)
    said = network(series)
    assert said.shape == (3, 3, 4)
    said.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_hours_without_a_measurement_are_not_read(series: torch.Tensor) -> None:
    network = SeriesTransformer(2, 5, width=8).eval()
    changed = series.clone()
    changed[0, [1, 4], :2] = 99.0
    torch.testing.assert_close(network(changed)[0], network(series)[0])
    changed[0, 2, 0] = 99.0
    assert not torch.allclose(network(changed)[0], network(series)[0])


def test_order_of_hours_matters(series: torch.Tensor) -> None:
    encoder = SeriesTransformerEncoder(2, 5, width=8).eval()
    assert not torch.allclose(encoder(series), encoder(series.flip(1)))


def test_joins_and_says_what_columns_it_needs(series: torch.Tensor) -> None:
    joint = Joint([StaticEncoder(4), SeriesTransformerEncoder(2, 5, width=8)], classes=6)
    assert joint(torch.randn(3, 4), series).shape == (3, 1, 6)
    with pytest.raises(ValueError, match="but the series has 2"):
        SeriesTransformer(2, 5)(series[..., :2])
