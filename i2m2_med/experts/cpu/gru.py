"""The states of a GRU, as `torch.nn.GRU` gives them; while it learns on a CPU, in a third of the time.

    r, z = σ(W x + b + U h + c)      n = tanh(Wₙ x + bₙ + r ⊙ (Uₙ h + cₙ))      h ← n + z ⊙ (h − n)

A series of a few hours and channels costs the calls, not the arithmetic: torch records a dozen per hour for the backward pass.
Here the hours take six calls each forward and three backward, and what does not depend on the state before is done for all
hours at once. With δ the gradient of a state, every gate's gradient is δ times a factor that is known beforehand.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from i2m2_med.types import Series

States = Float[Tensor, "batch hour hidden"]


def states_of(gru: nn.GRU, series: Series) -> States:
    """(batch, hour, channel) → (batch, hour, hidden) of a one-layer, one-way, batch-first GRU that starts from zero."""
    learns = gru.training and torch.is_grad_enabled() and not series.requires_grad
    if not learns or series.device.type != "cpu":
        return gru(series)[0]
    # `precision: bf16` casts products, which go into float32 tensors that are there already
    with torch.autocast("cpu", enabled=False):
        return Recurrence.apply(series, gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0)


class Recurrence(torch.autograd.Function):
    """The hours one after the other, with a backward pass of its own; weights as in `torch.nn.GRU`, gates in the order r, z, n."""

    @staticmethod
    def forward(ctx: Any, series: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """series (batch, hour, channel), w (3 · hidden, channel), u (3 · hidden, hidden), biases (3 · hidden,).

        Inside, the batch is the last axis: an hour's gates lie one after the other.
        """
        size, (batch, hours, _) = u.shape[1], series.shape
        x = series.permute(1, 2, 0).contiguous()
        # one product for all hours; each gate's values are then overwritten by its activations, which backward needs
        gates, states = torch.matmul(w, x).add_(b[:, None]), series.new_zeros((hours + 1, size, batch))
        each, passing = gates.view(3 * hours, size, batch).unbind(0), states.unbind(0)  # r, z, n, r, z, n, …
        bias, asked = c[:, None].expand(-1, batch).contiguous(), series.new_empty((3 * size, batch))
        of_gates, of_new = asked.split((2 * size, size))
        hourly = zip(gates[:, : 2 * size], each[::3], each[1::3], each[2::3], passing, passing[1:], strict=False)
        for opened, reset, update, new, state, following in hourly:
            torch.addmm(bias, u, state, out=asked)
            opened.add_(of_gates).sigmoid_()
            new.addcmul_(reset, of_new).tanh_()
            torch.lerp(new, state, update, out=following)
        ctx.save_for_backward(x, u, c, gates, states)
        return states[1:].permute(2, 0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """gradient (batch, hour, hidden) of the states → those of w, u, b and c."""
        x, u, c, gates, states = ctx.saved_tensors
        size, before = u.shape[1], states[:-1]
        reset, update, new = gates.unflatten(1, (3, size)).unbind(1)
        # h' = n + z (h − n), and σ' = σ (1 − σ), tanh' = 1 − tanh²: with δ = dL/dh' the gradients before the activations are
        # δ times (1 − z)(1 − n²)(Uₙ h + cₙ) r(1 − r) for r, (h − n) z(1 − z) for z, (1 − z)(1 − n²) for n; these factors
        # hold no δ, so they are made for all hours at once. n's goes through U times r, hence `inner * reset` in `past`.
        inner = (1 - update).mul_(1 - new * new)  # of what tanh is taken of
        past = torch.empty_like(gates).unflatten(1, (3, size))
        recalled = torch.matmul(u[2 * size :], before).add_(c[2 * size :, None])
        torch.mul(recalled, inner, out=past[:, 0]).mul_(reset - reset * reset)
        torch.sub(before, new, out=past[:, 1]).mul_(update - update * update)
        torch.mul(inner, reset, out=past[:, 2])
        delta, u_back = gradient.permute(1, 2, 0).contiguous(), u.T.contiguous()
        deltas, flat = delta.unbind(0), past.flatten(1, 2)
        hourly = zip(deltas, [None, *deltas[:-1]], past, flat, update, strict=True)
        # only δ has to pass from hour to hour: an earlier state gets z δ directly, and Uᵀ times the gates' gradients; `earlier`
        # is a view of `delta` that holds the gradient from outside already, so both are added in place
        for here, earlier, factors, row, kept in reversed(list(hourly)):
            factors.mul_(here)
            if earlier is not None:
                earlier.addcmul_(here, kept).addmm_(u_back, row)
        # W x is added to n outside of r, so W's part of n's gradient lacks the factor r that `flat` has
        through_w = torch.cat([flat[:, : 2 * size], delta.mul_(inner)], dim=1)
        of_w, of_u = torch.bmm(through_w, x.mT).sum(dim=0), torch.bmm(flat, before.mT).sum(dim=0)
        return None, of_w, of_u, through_w.sum(dim=(0, 2)), flat.sum(dim=(0, 2))
