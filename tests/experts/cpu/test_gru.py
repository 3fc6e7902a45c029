"""The quick recurrence is `torch.nn.GRU` to rounding, in what it says and in what it learns."""

import pytest
import torch
from torch import nn

from i2m2_med.experts import SeriesGRU
from i2m2_med.experts.cpu.gru import states_of

SIZES = [(1, 1, 1, 1), (3, 5, 7, 2), (40, 24, 12, 30)]


def learnt(gru: nn.GRU, states: torch.Tensor) -> list[torch.Tensor]:
    """Gradients of the weights under a loss that no state escapes."""
    weights = torch.linspace(-1, 1, states.numel(), dtype=states.dtype).view(states.shape)
    return list(torch.autograd.grad((weights * states).sum(), list(gru.parameters())))


@pytest.mark.parametrize(("batch", "hours", "channels", "hidden"), SIZES)
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_states_and_gradients_are_torchs(
    batch: int, hours: int, channels: int, hidden: int, dtype: torch.dtype, near: float
) -> None:
    torch.manual_seed(batch)
    gru = nn.GRU(channels, hidden, batch_first=True).to(dtype)
    series = 2 * torch.randn(batch, hours, channels, dtype=dtype)
    ours, theirs = states_of(gru, series), gru(series)[0]
    assert "Recurrence" in type(ours.grad_fn).__name__
    torch.testing.assert_close(ours, theirs, rtol=near, atol=near)
    for mine, expected in zip(learnt(gru, ours), learnt(gru, theirs), strict=True):
        torch.testing.assert_close(mine, expected, rtol=near, atol=near * float(expected.abs().max()))


def test_two_calls_before_a_backward_pass_do_not_mix() -> None:
    gru = nn.GRU(3, 4, batch_first=True)
    first, second = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    one, two = states_of(gru, first), states_of(gru, second)
    together = learnt(gru, torch.cat([one, two]))
    expected = learnt(gru, torch.cat([gru(first)[0], gru(second)[0]]))
    for mine, theirs in zip(together, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_what_does_not_learn_is_torchs_to_the_bit() -> None:
    expert = SeriesGRU().eval()
    series = torch.randn(3, 24, 12)
    assert torch.equal(states_of(expert.gru, series), expert.gru(series)[0])
    asked = series.clone().requires_grad_()
    expert.train()
    expert(asked).sum().backward()
    assert asked.grad is not None
    with torch.no_grad():
        assert torch.equal(states_of(expert.gru, series), expert.gru(series)[0])


def test_a_frozen_weight_learns_nothing() -> None:
    gru = nn.GRU(3, 4, batch_first=True)
    gru.weight_hh_l0.requires_grad_(False)
    states_of(gru, torch.randn(2, 5, 3)).sum().backward()
    assert gru.weight_hh_l0.grad is None
    assert gru.weight_ih_l0.grad is not None


def test_where_products_are_cast_to_16_bits_states_stay_as_they_are_and_gradients_near() -> None:
    gru, series = nn.GRU(3, 4, batch_first=True), torch.randn(2, 5, 3)
    expected = states_of(gru, series)
    with torch.autocast("cpu", torch.bfloat16):
        cast = states_of(gru, series)
        gradients = learnt(gru, cast)
    torch.testing.assert_close(cast, expected)
    for mine, theirs in zip(gradients, learnt(gru, expected), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0.02, atol=0.02 * float(theirs.abs().max()))
