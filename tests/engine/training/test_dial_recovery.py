"""Models that are trained, not ideal: shuffling their inputs must find the dials that the data were made with."""

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.experts import Expert
from i2m2_med.config.run import RunConfig
from i2m2_med.config.settings import Settings
from i2m2_med.config.training import Training
from i2m2_med.engine.prediction.permuted import permuted_tables
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.engine.training.fit import fit
from i2m2_med.model import I2M2
from i2m2_med.report.dependence.interaction import interactions
from i2m2_med.report.dependence.verdict import carried_by, repeat, verdicts
from i2m2_med.report.statistics.table import read_predictions
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

LABELS = Labels(("sick",), ("no", "yes"))
SEEDS = (0, 1, 2)
"""With two, t of one degree of freedom leaves next to nothing sure."""
READS = {"magnitude": ("magnitude",), "phase": ("phase",), "joint": ("magnitude", "phase")}


def samples(dials: tuple[float, float, float], n: int, seed: int, split: str, copy: bool = False) -> Samples:
    """x₁ = (own evidence, a sign), x₂ = (own evidence, that sign or its opposite by the label), with noise; copy: x₂ is x₁."""
    rng = np.random.default_rng(seed)
    target, sign = rng.integers(0, 2, n), rng.choice([-1, 1], n)
    side, noise = 2 * target - 1, rng.normal(size=(4, n))
    x1 = np.stack([dials[0] * side + noise[0], 2.5 * dials[2] * sign + noise[1]], axis=1).astype(np.float32)
    x2 = np.stack([dials[1] * side + noise[2], 2.5 * dials[2] * sign * side + noise[3]], axis=1).astype(np.float32)
    x2 = x1 if copy else x2
    names = [f"{split}{i}" for i in range(n)]
    records = pl.DataFrame(
        {"patient": names, "study": names, "item": [0] * n, "split": [split] * n, "label_sick": target}
    )
    return Samples(records, LABELS, ["magnitude", "phase"], {"magnitude": x1, "phase": x2})


class Reader(nn.Module):
    """A small network on all it reads."""

    def __init__(self, modalities: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2 * modalities, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2)
        )

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat(given, dim=1))[:, None]


def trained(dials: tuple[float, float, float], seed: int, folder, copy: bool = False) -> Predictor:
    torch.manual_seed(seed)
    model = I2M2({name: Reader(len(reads)) for name, reads in READS.items()}, READS, ProductOfExperts(), (1, 2))
    training = Training(epochs=12, batch=64, learning_rate=3e-3)
    train, valid = samples(dials, 4000, 1, "train", copy), samples(dials, 1000, 2, "valid", copy)
    fit(model, train, valid, training, seed=seed, folder=folder, device="cpu", watch=lambda *_: None)
    experts = {name: Expert(reads=reads, network={}) for name, reads in READS.items()}
    run = RunConfig(task="dials", source=Settings(), experts=experts, scoring={"batch": 512})
    return Predictor(
        model=model.eval(),
        run=run,
        paradigm="i2m2",
        seed=seed,
        labels=LABELS,
        state={},
        shares=[[0.5, 0.5]],
        device="cpu",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dials", "expected"),
    [
        ((0.0, 0.0, 0.0), "none"),
        ((1.0, 0.0, 0.0), "single"),
        ((0.7, 0.7, 0.0), "single"),
        ((0.0, 0.0, 1.0), "between"),
        ((0.7, 0.7, 0.8), "both"),
    ],
)
def test_the_verdict_on_trained_models_recovers_the_dials(dials, expected, tmp_path):
    judged = [samples(dials, 1500, 3, "valid"), samples(dials, 3000, 4, "test")]
    models = [trained(dials, seed, tmp_path / str(seed)) for seed in SEEDS]
    seeds = [{name: read_predictions(table) for name, table in permuted_tables(model, judged)} for model in models]
    found = interactions(seeds, ("magnitude", "phase"), draws=200)
    assert carried_by(found["sick"]) == expected, verdicts(found)


@pytest.mark.slow
def test_a_trained_model_is_not_fooled_by_a_copy(tmp_path):
    dials = (0.7, 0.0, 0.0)
    judged = [samples(dials, 1500, 3, "valid", copy=True), samples(dials, 3000, 4, "test", copy=True)]
    models = [trained(dials, seed, tmp_path / str(seed), copy=True) for seed in SEEDS]
    seeds = [{name: read_predictions(table) for name, table in permuted_tables(model, judged)} for model in models]
    found = interactions(seeds, ("magnitude", "phase"), draws=200)["sick"]
    assert (carried_by(found), repeat(found)) == ("single", "wholly"), verdicts({"sick": found})
    assert found.net.value == pytest.approx(-found.total.value, abs=0.03)
