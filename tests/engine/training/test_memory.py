"""`training.memory` and `training.accumulate`: the same gradients out of one expert's activations at a time."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.checkpoint import checkpoint

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.engine.prediction.seed import seed_everything
from i2m2_med.engine.training.activations import kept
from i2m2_med.engine.training.loss import MaskedNLL, Objective
from i2m2_med.engine.training.memory import forgotten
from i2m2_med.engine.training.step import Asking, ask
from i2m2_med.model import I2M2

from . import sharded

WHOLE, ONE_EXPERT = Asking(), Asking(forget=True)
PARTS = Asking(parts=3, forget=True)


class Noisy(nn.Module):
    """A network that draws while it is trained."""

    def __init__(self, channels: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(49 * channels, 8), nn.Dropout(dropout), nn.Linear(8, 6))

    def forward(self, *pictures: Tensor) -> Tensor:
        """(batch, 1, 7, 7) each → (batch, 6)."""
        return self.net(torch.cat(pictures, dim=1))


class Remembering(Noisy):
    """A network of a stranger: it draws from every generator, and keeps things from batch to batch in every way a buffer allows."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.norm = nn.InstanceNorm1d(2, track_running_stats=True)
        self.mixed, self.inner = spectral_norm(nn.Linear(6, 6)), nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 6))
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("written", torch.ones(6))
        self.mean: Tensor
        self.written: Tensor

    def forward(self, *pictures: Tensor) -> Tensor:
        """(batch, 1, 7, 7) each → (batch, 6)."""
        logits = self.norm(super().forward(*pictures).unflatten(1, (2, 3))).flatten(1)
        logits = logits + torch.from_numpy(np.random.standard_normal(logits.shape)).float()  # noqa: NPY002
        if self.training:
            self.mean = self.mean.lerp(logits.detach().mean(0), 0.1)
            self.written.lerp_(logits.detach().std(0), 0.1)
        inner = checkpoint(self.inner, logits * self.written.clone(), use_reentrant=False)
        assert isinstance(inner, Tensor)
        return self.mixed(inner) - self.mean * self.written


def remembering() -> I2M2:
    """Two experts that draw and remember, one that stays as it is, and one of whom half does."""
    seed_everything("remembering")
    networks = {"a": Remembering(1), "b": Remembering(1), "joint": Noisy(2), "c": nn.Linear(5, 6)}
    networks["b"].net.requires_grad_(False)
    networks["joint"].requires_grad_(False)
    return I2M2(networks, {"a": ("a",), "b": ("b",), "joint": ("a", "b"), "c": ("c",)}, ProductOfExperts(), (2, 3))


def noisy(dropout: float) -> I2M2:
    """Experts without batch norms; one adds a loss of its own."""
    seed_everything("noisy")
    networks = {"b": Noisy(1, dropout), "c": sharded.Numbers(5, 6), "joint": Noisy(2, dropout)}
    return I2M2(networks, {"b": ("b",), "c": ("c",), "joint": ("a", "b")}, ProductOfExperts(), (2, 3))


def stepped(model: I2M2, how: Asking) -> dict[str, Tensor]:
    """Gradients and buffers after one step's backward pass on 14 samples, and the random numbers that come next."""
    batch = sharded.samples(14, 0).__getitems__(range(14))
    model.train()
    seed_everything("step")
    Objective(MaskedNLL(torch.rand(2, 3)), 0.5)(ask(batch, model, how, seed=0), batch.target).backward()
    slopes = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    drawn = {"next": torch.rand(()), "NumPy's next": torch.tensor(np.random.rand())}  # noqa: NPY002
    return slopes | dict(model.named_buffers()) | drawn


def test_one_expert_at_a_time_gives_the_same_gradients_and_no_batch_counts_twice() -> None:
    for make in (sharded.model, lambda: noisy(0.3), remembering):
        torch.testing.assert_close(stepped(make(), ONE_EXPERT), stepped(make(), WHOLE), atol=1e-6, rtol=0)


def test_pythons_numbers_are_the_same_the_second_time() -> None:
    class Scaled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) * random.random()

    expert, none = Scaled(1, 1, bias=False), torch.zeros(())
    ones = torch.ones(1, 1)
    said, _, _ = forgotten(lambda: (expert(ones), ones > 0, none), expert, [ones])
    random.seed(0)
    said.sum().backward()
    assert expert.weight.grad is not None
    assert float(expert.weight.grad) == pytest.approx(float((said / expert.weight).detach()))


@pytest.mark.parametrize("parts", [2, 3, 14, 100])
def test_parts_give_the_gradients_of_the_whole_batch(parts: int) -> None:
    torch.testing.assert_close(
        stepped(noisy(0.0), Asking(parts=parts, forget=True)), stepped(noisy(0.0), WHOLE), atol=1e-6, rtol=0
    )


def test_training_in_parts_ends_as_training_whole_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharded, "model", lambda _: noisy(0.0))
    changes = {"": {}, "parts": {"accumulate": 4}, "one": {"memory": "one_expert", "accumulate": 2}}
    models = [sharded.trained(tmp_path / name, epochs=1, **settings)[0] for name, settings in changes.items()]
    for other in models[1:]:
        torch.testing.assert_close(other.state_dict(), models[0].state_dict(), atol=1e-5, rtol=0)


def large(n_experts: int) -> I2M2:
    """Experts whose activations are far larger than their parameters."""

    def one() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 6),
        )  # fmt: skip

    networks = {f"e{at}": one() for at in range(n_experts)}
    return I2M2(networks, dict.fromkeys(networks, ("a",)), ProductOfExperts(), (2, 3))


def peak(model: I2M2, how: Asking) -> int:
    """The most bytes that a forward and a backward pass hold at once, beyond model and batch, as torch's allocator counts them."""
    batch = sharded.samples(4, 0).__getitems__(range(4))
    batch.inputs["a"] = torch.randn(4, 1, 96, 96)  # type: ignore[index]
    model.train()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        Objective(MaskedNLL())(ask(batch, model, how, seed=0), batch.target).backward()
    held = most = 0
    events = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    for event in sorted((one for one in events if one.name() == "[memory]"), key=lambda one: one.start_ns()):
        held += event.nbytes()  # type: ignore[attr-defined]
        most = max(most, held)
    return most


def test_what_a_plan_says_a_step_keeps_is_what_it_keeps() -> None:
    batch = sharded.samples(4, 0).__getitems__(range(4))
    batch.inputs["a"] = torch.randn(4, 1, 96, 96)  # type: ignore[index]
    one, six = kept(large(1), batch), kept(large(6), batch)
    assert six == pytest.approx(6 * one, rel=0.05)
    assert six == pytest.approx(
        peak(large(6), WHOLE), rel=0.25
    )  # which counts what the backward pass takes for itself too


def test_memory_is_flat_from_one_expert_to_six() -> None:
    largest = peak(large(1), WHOLE)
    assert peak(large(6), WHOLE) > 3 * largest
    for n_experts in (2, 6):
        assert peak(large(n_experts), ONE_EXPERT) < 1.15 * largest
    assert peak(large(6), Asking(parts=2, forget=True)) < 0.65 * largest
