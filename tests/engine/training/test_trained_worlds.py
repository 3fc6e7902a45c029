"""Trained models in worlds of several labels, three modalities and a rare finding: the verdict is the world's."""

from collections.abc import Mapping

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
from i2m2_med.report.dependence.interaction import Interaction, interactions
from i2m2_med.report.dependence.verdict import carried_by, verdicts
from i2m2_med.report.statistics.table import read_predictions
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

pytestmark = pytest.mark.slow
World = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]
"""Modalities (sample, 2) by name, and labels (sample,) by name."""


def evidence(rng: np.random.Generator, label: np.ndarray, strength: float) -> np.ndarray:
    """A column that tells a label by itself."""
    return strength * (2 * label - 1) + rng.normal(size=len(label))


def tied(rng: np.random.Generator, label: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Two columns whose signs agree where the label is 1: neither tells anything by itself."""
    sign = rng.choice([-1, 1], len(label))
    noise = rng.normal(size=(2, len(label)))
    return strength * sign + noise[0], strength * sign * (2 * label - 1) + noise[1]


def several_labels(n: int, seed: int) -> World:
    """`own` stands in the first modality, `tied` in how the two go together."""
    rng = np.random.default_rng(seed)
    own, both = rng.integers(0, 2, (2, n))
    first, second = tied(rng, both, 2.5)
    a = np.stack([evidence(rng, own, 1.0), first], axis=1)
    return {"a": a, "b": np.stack([rng.normal(size=n), second], axis=1)}, {"own": own, "tied": both}


def three_modalities(n: int, seed: int) -> World:
    """The label stands in c, and in how a and b go together."""
    rng = np.random.default_rng(seed)
    sick = rng.integers(0, 2, n)
    first, second = tied(rng, sick, 1.8)
    noise = rng.normal(size=(2, n))
    c = np.stack([evidence(rng, sick, 0.7), rng.normal(size=n)], axis=1)
    return {"a": np.stack([first, noise[0]], 1), "b": np.stack([second, noise[1]], 1), "c": c}, {"sick": sick}


def rare(n: int, seed: int) -> World:
    """One in twenty is sick; both modalities tell it, independently."""
    rng = np.random.default_rng(seed)
    sick = (rng.random(n) < 0.05).astype(int)
    columns = [np.stack([evidence(rng, sick, 0.9), rng.normal(size=n)], axis=1) for _ in "ab"]
    return dict(zip("ab", columns, strict=True)), {"sick": sick}


class Reader(nn.Module):
    """A small network on all it reads."""

    def __init__(self, modalities: int, labels: int) -> None:
        super().__init__()
        self.labels = labels
        self.net = nn.Sequential(
            nn.Linear(2 * modalities, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2 * labels)
        )

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat(given, dim=1)).unflatten(1, (self.labels, 2))


def as_samples(world: World, split: str, seed: int) -> Samples:
    arrays, labels = world
    n = len(next(iter(labels.values())))
    names = [f"{split}{seed}-{i}" for i in range(n)]
    columns = {"patient": names, "study": names, "item": [0] * n, "split": [split] * n}
    records = pl.DataFrame(columns | {f"label_{name}": value for name, value in labels.items()})
    given = {name: array.astype(np.float32) for name, array in arrays.items()}
    return Samples(records, Labels(tuple(labels), ("no", "yes")), list(given), given)


def trained(make, n: int, seed: int, folder) -> Predictor:
    train, valid = as_samples(make(n, 1), "train", 1), as_samples(make(n // 3, 2), "valid", 2)
    modalities, labels = list(train.modalities), train.labels
    reads = {name: (name,) for name in modalities} | {"joint": tuple(modalities)}
    torch.manual_seed(seed)
    networks = {name: Reader(len(read), len(labels.names)) for name, read in reads.items()}
    model = I2M2(networks, reads, ProductOfExperts(), (len(labels.names), 2))
    training = Training(epochs=10, batch=128, learning_rate=3e-3)
    fit(model, train, valid, training, seed=seed, folder=folder, device="cpu", watch=lambda *_: None)
    experts = {name: Expert(reads=read, network={}) for name, read in reads.items()}
    run = RunConfig(task="world", source=Settings(), experts=experts, scoring={"batch": 1024})
    shares = [[0.5, 0.5]] * len(labels.names)
    return Predictor(
        model=model.eval(), run=run, paradigm="i2m2", seed=seed, labels=labels, state={}, shares=shares, device="cpu"
    )


def found_in(make, n: int, folder) -> dict[str, Interaction]:
    judged = [as_samples(make(n // 2, 3), "valid", 3), as_samples(make(n // 2, 4), "test", 4)]
    models = [trained(make, n, seed, folder / str(seed)) for seed in (0, 1, 2)]
    seeds = [{name: read_predictions(table) for name, table in permuted_tables(model, judged)} for model in models]
    return interactions(seeds, models[0].modalities, draws=200)


def test_each_label_has_its_own_verdict(tmp_path):
    found = found_in(several_labels, 4000, tmp_path)
    assert {name: carried_by(each) for name, each in found.items()} == {"own": "single", "tied": "between"}, verdicts(
        found
    )
    assert found["own"].own["a"].low > 0.1
    assert found["own"].own["b"].high < 0.02


def test_of_three_modalities_two_are_tied_and_one_tells_alone(tmp_path):
    found = found_in(three_modalities, 4000, tmp_path)["sick"]
    assert carried_by(found) == "both", verdicts({"sick": found})
    assert found.own["c"].low > 0.1
    assert max(found.own["a"].high, found.own["b"].high) < 0.02
    assert found.net.low > 0


def test_a_rare_finding_told_by_both_alone_is_no_relation(tmp_path):
    found = found_in(rare, 8000, tmp_path)["sick"]
    assert carried_by(found) in {"single", "at least single"}, verdicts({"sick": found})
    assert found.between.low < 0 < found.between.high
    assert min(found.own["a"].low, found.own["b"].low) > 0
