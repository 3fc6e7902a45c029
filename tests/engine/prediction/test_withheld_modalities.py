"""Patterns that validation lacks get their own calibration, from validation samples with modalities withheld."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.reader import load_config
from i2m2_med.engine.calibration.calibrate import fit_calibration
from i2m2_med.engine.prediction.predict import patterns
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.engine.prediction.withheld_modalities import fit_withheld, of_modalities, withhold
from i2m2_med.errors import ConfigError
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

N_SAMPLES = 240


class Sure(nn.Module):
    """Says what the first of its inputs says, `factor` times too surely."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return (self.factor * inputs[0])[:, None]


@pytest.fixture
def samples() -> Samples:
    """Three classes drawn from what `a` says; `b` is missing in every fourth sample."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (N_SAMPLES, 3)).astype(np.float32)
    target = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    records = pl.DataFrame(
        {
            "patient": [f"p{row}" for row in range(N_SAMPLES)],
            "study": [f"s{row}" for row in range(N_SAMPLES)],
            "item": 0,
            "split": "valid",
            "label_y": target,
        }
    )
    absent = np.where(np.arange(N_SAMPLES)[:, None] % 4 == 0, np.float32(np.nan), logits)
    return Samples(records, Labels(("y",), ("0", "1", "2")), ("a", "b"), {"a": logits, "b": absent})


@pytest.fixture
def predictor(samples: Samples) -> Predictor:
    """`a` is three times too sure, `b` six times; calibrated on samples of which none has `b` alone."""
    reads = {"a": ("a",), "b": ("b",)}
    model = I2M2({"a": Sure(3.0), "b": Sure(6.0)}, reads, ProductOfExperts(), (1, 3))
    run, _ = load_config("avmnist_intra", ["source.root=."])
    predictor = Predictor(
        model=model,
        run=run,
        paradigm="intra",
        seed=0,
        labels=samples.labels,
        state={},
        shares=[[1 / 3] * 3],
        device="cpu",
    )
    predictor.calibration = fit_calibration(predictor.predict(samples))
    return predictor


def test_only_samples_that_have_what_is_kept_and_nothing_else(samples):
    found = patterns(samples)
    part = of_modalities(samples, frozenset({"b"}), found)
    assert len(part) == len(part.records) == len(part.target) == N_SAMPLES * 3 // 4
    assert set(patterns(part)) == {"b"}
    batch = part.__getitems__([5, 0])
    rows = np.flatnonzero(["b" in name for name in found])[[5, 0]]
    torch.testing.assert_close(batch.inputs["b"], samples.__getitems__(rows.tolist()).inputs["b"])
    assert part.records["patient"][[5, 0]].to_list() == [f"p{row}" for row in rows]
    assert batch.rows.tolist() == [5, 0]


def test_a_pattern_that_validation_lacks_gets_its_own_temperature(predictor, samples):
    seen = predictor.calibration["patterns"]
    assert set(seen) == {"a", "a+b"}
    fitted = fit_withheld(seen, [(predictor, samples)])
    assert set(fitted) == {"b"}
    assert fitted["b"]["samples"] == N_SAMPLES * 3 // 4
    assert fitted["b"]["labels"][0]["scale"] == pytest.approx(1 / 6, rel=0.3)


def test_what_validation_has_is_left_as_it_is_and_what_no_expert_reads_is_left_out(predictor, samples):
    before = json.loads(json.dumps(predictor.calibration))
    fit_withheld(before["patterns"], [(predictor, samples)])
    assert predictor.calibration == before
    predictor.model.reads["b"] = ("a", "b")
    assert fit_withheld(before["patterns"], [(predictor, samples)]) == {}


def test_of_several_folds_all_their_samples_count(predictor, samples):
    fitted = fit_withheld(predictor.calibration["patterns"], [(predictor, samples), (predictor, samples)])
    assert fitted["b"]["samples"] == 2 * (N_SAMPLES * 3 // 4)


def test_what_is_withheld_is_a_known_modality_that_an_expert_can_do_without(predictor, samples):
    assert set(patterns(withhold(predictor, samples, ["b"]))) == {"a"}
    with pytest.raises(ConfigError, match="there is no modality 'bb'"):
        withhold(predictor, samples, ["bb"])
    for without in (["a", "b"], ["a"]):
        predictor.model.reads["b"] = ("a", "b")
        with pytest.raises(ConfigError, match=f"without {' and '.join(without)}"):
            withhold(predictor, samples, without)
