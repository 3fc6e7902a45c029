"""OGM-GE: coefficients as in the paper, whom they slow, and that training with it is the same twice."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.training import Training
from i2m2_med.engine.training.fit import fit
from i2m2_med.engine.training.modulation import check_experts, coefficients, modulate, scores
from i2m2_med.errors import ConfigError
from i2m2_med.model import I2M2, Opinions
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels


@pytest.mark.parametrize("alpha", [0.1, 0.8])
def test_of_two_experts_the_one_ahead_is_slowed_as_equation_10_says(alpha):
    slowed = 1 - np.tanh(alpha * 0.6 / 0.2)
    for score, expected in (([0.6, 0.2], [slowed, 1.0]), ([0.2, 0.6], [1.0, slowed]), ([0.4, 0.4], [1.0, 1.0])):
        torch.testing.assert_close(
            coefficients(torch.tensor(score), alpha), torch.tensor(expected, dtype=torch.float32)
        )


def test_of_several_the_mean_of_the_others_is_the_measure():
    found = coefficients(torch.tensor([0.9, 0.3, 0.5]), 0.5)
    torch.testing.assert_close(found[0], torch.tensor(1 - np.tanh(0.5 * 0.9 / 0.4), dtype=torch.float32))
    assert found[1:].tolist() == [1.0, 1.0]
    assert torch.equal(coefficients(torch.tensor([0.9, 0.3, 0.5])[[2, 0, 1]], 0.5), found[[2, 0, 1]])


def test_scores_count_known_labels_of_samples_that_were_read():
    p = torch.tensor([[0.9, 0.2, 0.5], [0.4, 0.6, 0.7]])
    experts = torch.stack([1 - p, p], dim=-1)[:, :, None].log()
    present = torch.tensor([[True, True, True], [True, False, True]])
    target = torch.tensor([[1], [0], [-1]])
    found = scores(Opinions(experts[0], experts, present), target)
    torch.testing.assert_close(found, torch.tensor([(0.9 + 0.8) / 2, 0.4]))


def pair() -> I2M2:
    torch.manual_seed(0)
    return I2M2({"a": nn.Linear(3, 2), "b": nn.Linear(2, 2)}, {"a": ("a",), "b": ("b",)}, ProductOfExperts(), (1, 2))


def test_gradients_are_scaled_in_the_mean_and_biases_left():
    model, n = pair(), 2000
    score = torch.tensor([[[0.2, 0.8]], [[0.6, 0.4]]]).log()[:, None].expand(2, 4, 1, 2)
    opinions = Opinions(score[0], score, torch.ones(2, 4, dtype=torch.bool))
    total = torch.zeros(2, 3)
    for _ in range(n):
        for at, parameter in enumerate(model.parameters()):
            parameter.grad = torch.arange(float(parameter.numel())).view(parameter.shape) + at
        modulate(model, opinions, torch.ones(4, 1, dtype=torch.int64), 0.5)
        total += model.experts["a"].weight.grad
    before = torch.arange(6.0).view(2, 3)
    factor = 1 - np.tanh(0.5 * 2)
    noise = float(before.std(correction=0))
    torch.testing.assert_close(total / n, factor * before, atol=5 * noise / np.sqrt(n), rtol=0)
    assert torch.equal(model.experts["a"].bias.grad, torch.arange(2.0) + 1)


def samples(n: int, seed: int) -> Samples:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    a, b = ((rng.normal(size=(n, width)) + label[:, None]).astype(np.float32) for width in (3, 2))
    return Samples(pl.DataFrame({"label_sick": label}), Labels(("sick",), ("no", "yes")), ["a", "b"], {"a": a, "b": b})


def trained(folder: Path, epochs: int, **settings: object) -> bytes:
    model = pair()
    training = Training.model_validate({"epochs": epochs, "batch": 16, "learning_rate": 0.01, **settings})
    fit(model, samples(90, 0), samples(50, 1), training, seed=0, folder=folder, device="cpu", watch=lambda *_: None)
    return b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())


def test_training_with_it_is_the_same_twice_and_not_plain_training(tmp_path):
    one, again = (trained(tmp_path / name, 3, mode="ogm-ge") for name in ("one", "again"))
    assert one == again
    assert one != trained(tmp_path / "plain", 3)


def test_only_the_first_half_of_training_is_modulated(tmp_path):
    """Of one epoch none is."""
    assert trained(tmp_path / "ogm", 1, mode="ogm-ge") == trained(tmp_path / "plain", 1)


def test_one_expert_has_nobody_to_be_balanced_with():
    alone = I2M2({"a": nn.Linear(3, 2)}, {"a": ("a",)}, ProductOfExperts(), (1, 2))
    with pytest.raises(ConfigError, match="'a' is alone; take joint"):
        check_experts(alone)
    check_experts(pair())
