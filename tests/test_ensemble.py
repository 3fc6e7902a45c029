"""The ensemble of folds: for a product of experts, the product of the experts' geometric means."""

import numpy as np
import pytest
import torch

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.ensemble import FoldEnsemble, common_state, recoded
from i2m2_med.model import I2M2
from i2m2_med.samples.normalise import apply

SHAPE = (2, 3)
READS = {"x": ("x",), "y": ("y",), "joint": ("x",)}
STATES = [{"x": {"mean": [1.0 + j, -2.0], "std": [2.0, 0.5 + j]}} for j in range(3)]


def member(seed: int) -> I2M2:
    torch.manual_seed(seed)
    networks = {name: torch.nn.Linear(2, SHAPE[0] * SHAPE[1]) for name in READS}
    return I2M2(networks, READS, ProductOfExperts(), SHAPE)


@pytest.fixture
def ensemble() -> FoldEnsemble:
    return FoldEnsemble([member(seed) for seed in range(3)], STATES).eval()


def raw(rows: int = 7) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32)
    values[1, 0] = np.nan  # missing in a row that is there
    return values


def asked(ensemble: FoldEnsemble, values: np.ndarray):
    there = torch.ones(len(values), dtype=torch.bool)
    inputs = {"x": torch.from_numpy(apply("x", values, {"x": ensemble.common["x"]})), "y": torch.randn(len(values), 2)}
    present = {"x": there, "y": there & (torch.arange(len(values)) != 2)}
    return inputs, present


def test_each_member_reads_what_its_own_fold_standardised(ensemble):
    values = raw()
    inputs, present = asked(ensemble, values)
    with torch.no_grad():
        whole = ensemble(inputs, present)
        alone = [
            one({**inputs, "x": torch.from_numpy(apply("x", values, state))}, present)
            for one, state in zip(ensemble.members, STATES, strict=True)
        ]
    mean = torch.stack([one.log_probs for one in alone]).mean(dim=0).log_softmax(dim=-1)
    torch.testing.assert_close(whole.log_probs, mean, atol=1e-5, rtol=1e-5)


def test_it_is_the_product_of_its_experts_and_an_absent_one_is_as_if_never_there(ensemble):
    inputs, present = asked(ensemble, raw())
    inputs["y"][2] = torch.nan
    with torch.no_grad():
        opinions = ensemble(inputs, present)
    torch.testing.assert_close(opinions.log_probs, ProductOfExperts()(opinions.experts, opinions.present))
    assert not opinions.present[1, 2]
    assert (opinions.experts[1, 2] == 0).all()
    torch.testing.assert_close(opinions.log_probs.exp().sum(dim=-1), torch.ones(7, 2))


def test_one_member_is_itself():
    only = FoldEnsemble([member(0)], STATES[:1]).eval()
    inputs, present = asked(only, raw())
    with torch.no_grad():
        torch.testing.assert_close(only(inputs, present).log_probs, only.members[0](inputs, present).log_probs)
    assert common_state(STATES[:1]) == STATES[0]


def test_words_of_columns_get_each_folds_own_codes() -> None:
    raw = np.array([[1.0, 10.0], [np.nan, 20.0], [3.0, 30.0], [2.0, np.nan], [0.0, 99.0]])
    states = [
        {"x": {"mean": [1.0, 0.0], "std": [2.0, 1.0], "levels": [None, [10.0, 30.0]]}},
        {"x": {"mean": [0.5, 0.0], "std": [1.0, 1.0], "levels": [None, [20.0]]}},
    ]
    common = common_state(states)
    assert common["x"]["levels"] == [None, [10.0, 20.0, 30.0]]
    given = torch.from_numpy(apply("x", raw, common))
    for state in states:
        torch.testing.assert_close(recoded(given, common["x"], state["x"]), torch.from_numpy(apply("x", raw, state)))


def test_an_ensemble_answers_from_what_its_members_answer_from(ensemble):
    assert ensemble.can_answer("joint", ["x"])
    assert not ensemble.can_answer("y", ["x"])
