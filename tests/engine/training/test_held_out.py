"""Stacking: the combiner is fitted on samples that the experts did not learn from, and calibrates them."""

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from i2m2_med.combiners import ProductOfExperts, StackedExperts
from i2m2_med.engine.prediction.predict import run_model
from i2m2_med.engine.training.held_out import check_combiner, fit_combiner
from i2m2_med.engine.training.loss import MaskedNLL, Objective
from i2m2_med.errors import ConfigError
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

LABELS = Labels(("sick",), ("no", "yes"))


class Sure(nn.Module):
    """Says log-odds of its one column, so many times too sure."""

    def __init__(self, times: float) -> None:
        super().__init__()
        self.times = nn.Parameter(torch.tensor(times))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(x), self.times * x], dim=1)


def samples(n: int, seed: int) -> Samples:
    """x tells the log-odds of the label, y is nothing; a fifth lack y."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0, 1.5, (2, n, 1)).astype(np.float32)
    label = (rng.random(n) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    y[::5] = np.nan
    return Samples(pl.DataFrame({"label_sick": label}), LABELS, ["x", "y"], {"x": x, "y": y})


def stacked() -> I2M2:
    return I2M2({"x": Sure(4.0), "y": Sure(2.0)}, {"x": ("x",), "y": ("y",)}, StackedExperts(2, 1, 2), (1, 2))


def test_it_undoes_what_is_too_sure_and_leaves_out_what_is_nothing():
    model = stacked()
    before = [parameter.clone() for parameter in model.experts.parameters()]
    fit_combiner(model, samples(3000, 0), 512, "cpu")
    weight = model.combiner.weight.detach()[:, 0]
    assert weight[0].item() == pytest.approx(1 / 4, abs=0.04)
    assert weight[1].item() == pytest.approx(0, abs=0.06)
    judged = samples(3000, 1)
    loss = Objective(MaskedNLL())(run_model(model, judged, 512, "cpu"), judged.target)
    log_odds = torch.tensor(judged.arrays["x"][:, 0])
    best = torch.nn.functional.binary_cross_entropy_with_logits(log_odds, judged.target[:, 0].float())
    assert loss.item() == pytest.approx(best.item(), abs=0.01)
    assert all(torch.equal(now, then) for now, then in zip(model.experts.parameters(), before, strict=True))


def test_few_samples_move_it_little_and_twice_is_the_same():
    few, again, many = stacked(), stacked(), stacked()
    for model in (few, again):
        fit_combiner(model, samples(6, 0), 512, "cpu")
    fit_combiner(many, samples(600, 0), 512, "cpu")

    def moved(model: I2M2) -> float:
        return (model.combiner.weight - 1).norm().item()

    assert moved(few) < moved(many)
    assert torch.equal(few.combiner.weight, again.combiner.weight)


def test_a_combiner_without_parameters_can_t_be_fitted():
    model = I2M2({"x": Sure(1.0)}, {"x": ("x",)}, ProductOfExperts(), (1, 2))
    with pytest.raises(ConfigError, match="this one has none"):
        check_combiner(model)
    check_combiner(stacked())
