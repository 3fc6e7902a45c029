"""The additive projection: exact where a model has no interaction, other where it has one, and silent where nobody can lend."""

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.experts import Expert
from i2m2_med.config.run import RunConfig
from i2m2_med.config.settings import Settings
from i2m2_med.engine.prediction.additive import additive_tables, lenders
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

LABELS = Labels(("sick",), ("no", "yes"))


class Bilinear(nn.Module):
    """Logits (0, strength · a · b)."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.stack([torch.zeros_like(a[:, 0]), self.strength * a[:, 0] * b[:, 0]], dim=1)


def predictor(strength: float) -> Predictor:
    torch.manual_seed(0)
    reads = {"a": ("a",), "b": ("b",), "joint": ("a", "b")}
    networks = {"a": nn.Linear(1, 2), "b": nn.Linear(1, 2), "joint": Bilinear(strength)}
    run = RunConfig(
        task="bits",
        source=Settings(),
        experts={name: Expert(reads=each, network={}) for name, each in reads.items()},
    )
    model = I2M2(networks, reads, ProductOfExperts(), (1, 2)).eval()
    return Predictor(
        model=model, run=run, paradigm="i2m2", seed=0, labels=LABELS, state={}, shares=[[0.5, 0.5]], device="cpu"
    )


def samples(split: str, n: int = 41, seed: int = 0, lacking: int = 5) -> Samples:
    """Numbers; each `lacking`-th sample lacks `b`."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n, 1)).astype(np.float32)
    b[::lacking] = np.nan
    names = [f"{split}{i}" for i in range(n)]
    records = pl.DataFrame(
        {"patient": names, "study": names, "item": [0] * n, "split": [split] * n, "label_sick": rng.integers(0, 2, n)}
    )
    return Samples(records, LABELS, ["a", "b"], {"a": a, "b": b})


def log_odds(p: np.ndarray) -> np.ndarray:
    return np.log(p[1::2]) - np.log(p[::2])


@pytest.mark.parametrize(("strength", "same"), [(0.0, True), (2.0, False)])
def test_the_projection_is_the_model_where_nothing_interacts(strength, same):
    one, splits = predictor(strength), [samples("valid"), samples("test", seed=1)]
    tables = dict(additive_tables(one, splits))
    assert list(tables) == ["additive:a", "additive:b"]
    whole = np.concatenate([one.predict(each)["p"].to_numpy() for each in splits])
    summed = sum(log_odds(table["p"].to_numpy()) for table in tables.values())
    both = (tables["additive:a"]["pattern"].to_numpy()[::2] == "a+b").astype(bool)
    off = (summed - log_odds(whole))[both]
    assert (np.ptp(off) < 1e-4) == same  # a constant, which offsets hold


def test_a_modality_that_is_absent_is_not_lent():
    table = dict(additive_tables(predictor(1.0), [samples("valid")]))["additive:a"]
    alone = table["pattern"] == "a"
    plain = predictor(1.0).predict(samples("valid"))
    assert table["p"][alone].to_numpy() == pytest.approx(plain["p"][alone].to_numpy(), abs=1e-6)


def test_lenders_hold_everything_and_are_of_different_patients():
    assert len(lenders(samples("valid"), ("a", "b"), 12, 0)) == 12
    assert lenders(samples("valid", lacking=1), ("a", "b"), 12, 0) == []
    assert dict(additive_tables(predictor(1.0), [samples("valid", lacking=1)])) == {}
