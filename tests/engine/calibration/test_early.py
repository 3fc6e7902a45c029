"""Stopping early: the share of patients whose decision changes stays within the budget, and what is certain is not asked further."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.engine.calibration.calibrate import calibrate_table, fit_calibration
from i2m2_med.engine.calibration.early import fit_early, follow, thresholds

Numbers = dict[str, Any]
NAMES = ("costly", "cheap", "joint")
FLOPS = {"costly": 100, "cheap": 1, "joint": 1000}


def world(patients: int, seed: int, classes: int = 2, items: int = 1) -> pd.DataFrame:
    """Predictions of three experts of unequal strength on `items` samples a patient, uncalibrated, with the truth."""
    draw = np.random.default_rng(seed)
    truth = np.repeat(draw.integers(classes, size=patients), items)
    own = np.repeat(draw.normal(size=(3, patients, classes)), items, axis=1)
    logits = own + 0.5 * draw.normal(size=(3, len(truth), classes))
    for expert, strength in enumerate((1.5, 2.5, 1.0)):
        logits[expert, np.arange(len(truth)), truth] += strength
    experts = torch.from_numpy(logits)[:, :, None].log_softmax(dim=-1)
    product = ProductOfExperts()(experts, torch.ones(experts.shape[:2], dtype=torch.bool)).exp().numpy().ravel()
    content = {f"p_{name}": each.exp().numpy().ravel() for name, each in zip(NAMES, experts, strict=True)}
    who = np.repeat(np.repeat(np.arange(patients), items), classes)
    return pd.DataFrame(
        {"patient": who, "label": "found", "class": np.tile(np.arange(classes), len(truth)), "p": product}
        | {"target": np.repeat(truth, classes), "pattern": "a+b", **content}
    )


def learnt(table: pd.DataFrame) -> tuple[Numbers, Numbers]:
    """The calibration of the product, and what stopping early needs."""
    whole = fit_calibration(table)
    fit = partial(fit_calibration, alpha=0.1, sensitivity=0.9)
    return whole, fit_early(calibrate_table(table, whole), NAMES, FLOPS, ProductOfExperts(), fit)


def changed(test: pd.DataFrame, whole: Numbers, early: Numbers, budget: float) -> tuple[float, float]:
    """The share of patients with another decision, and of samples that not all experts were asked about."""
    followed, told = follow(calibrate_table(test, whole), NAMES, early, ProductOfExperts(), budget)
    return float(pd.Series(followed.differs).groupby(told.patient).max().mean()), float((followed.asked < 3).mean())


@pytest.mark.parametrize("classes", [2, 4])
def test_most_samples_stop_and_few_decisions_change(classes: int) -> None:
    whole, early = learnt(world(1500, 1, classes))
    share, stopped = changed(world(4000, 2, classes), whole, early, 0.05)
    assert early["order"] == ["cheap", "costly", "joint"]
    assert stopped > 0.2
    assert share <= 0.05
    more, fewer = changed(world(4000, 2, classes), whole, early, 0.2)[1], stopped
    assert more > fewer


def test_a_budget_that_validation_can_not_promise_stops_nothing() -> None:
    whole, early = learnt(world(60, 3))
    assert thresholds(early, 0.01) == [np.inf, np.inf]
    assert changed(world(200, 4), whole, early, 0.01) == (0.0, 0.0)


def test_a_sample_without_an_expert_takes_no_part() -> None:
    table = world(300, 5)
    table.loc[: 2 * 100 - 1, "p_cheap"] = np.nan
    _, early = learnt(table)
    assert early["patients"] == 200
    assert learnt(table.assign(p_cheap=np.nan))[1] == {}


@pytest.mark.slow
@pytest.mark.parametrize(("patients", "items", "budget"), [(200, 1, 0.1), (400, 3, 0.1), (800, 1, 0.03)])
def test_the_budget_holds_in_all_but_five_percent_of_worlds(patients: int, items: int, budget: float) -> None:
    exceeded: list[bool] = []
    whole, early = learnt(world(patients, 10_000, items=items))
    assert changed(world(4000, 1, items=items), whole, early, budget)[1] > 0.05  # of samples: it is no empty promise
    for seed in range(120):
        whole, early = learnt(world(patients, 10_000 + seed, items=items))
        exceeded.append(changed(world(4000, 50_000 + seed, items=items), whole, early, budget)[0] > budget)
    assert np.mean(exceeded) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 120)
