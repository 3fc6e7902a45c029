"""Ours against the logits of the published networks on closed-formula parameters, within 1e-4."""

import pytest
import torch
from torch import Tensor

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.experts import (
    LateFusion,
    LeNet,
    LowRankFusion,
    PreActResNet18,
    SeriesGRU,
    StaticMLP,
    StaticSeriesJoint,
)

CLOSE = {"atol": 1e-4, "rtol": 0.0}


def product(*logits: Tensor) -> Tensor:
    stacked = torch.stack([expert.log_softmax(-1) for expert in logits])
    return ProductOfExperts()(stacked, torch.ones(stacked.shape[:2], dtype=torch.bool))


def test_knee_experts_and_their_product(golden, closed_form, filled):
    case = golden("knee")["case"]
    shape = (2, 160, 100)
    image = torch.complex(*(torch.from_numpy(closed_form(f"x_small.{part}", shape)).float() for part in ("re", "im")))
    image = image[:, None, 40:120, 10:90]
    magnitude, phase = image.abs(), image.angle()
    said = {
        "mag": filled(PreActResNet18(channels=1), "model_imag.")(magnitude),
        "phase": filled(PreActResNet18(channels=1), "model_real.")(phase),
        "magphase": filled(PreActResNet18(channels=2), "model_cat.")(magnitude, phase),
    }
    for name, logits in said.items():
        published = torch.tensor(case["logits"][name]).transpose(0, 1)  # (label, batch, classes)
        torch.testing.assert_close(logits, published, **CLOSE)
    published = torch.tensor(case["logits"]["i2m2_logprob"]).transpose(0, 1)
    torch.testing.assert_close(product(*said.values()), published, **CLOSE)


def test_mimic_experts_and_their_products(golden, closed_form, filled):
    case = golden("mimic_icd9")
    static, series = (
        torch.from_numpy(closed_form(case[name]["name"], case[name]["shape"]) * case[name]["scale"]).float()
        for name in ("static", "series")
    )
    alone = filled(StaticMLP(classes=2), "unimodal_0.")(static), filled(SeriesGRU(classes=2), "unimodal_1.")(series)
    joint = filled(StaticSeriesJoint(classes=2), "inter.")(static, series)
    said = {
        "unimodal_0": alone[0],
        "unimodal_1": alone[1],
        "inter": joint,
        "i2m2_logprob": product(*alone, joint),
        "intra_train_logprob": product(*alone),
    }
    for name, logits in said.items():
        torch.testing.assert_close(logits[:, 0], torch.tensor(case[name]), **CLOSE, msg=name)


@pytest.fixture
def digits(golden, closed_form) -> tuple[Tensor, Tensor]:
    case = golden("avmnist")
    names = (case["image"], case["audio"])
    return tuple(torch.from_numpy((closed_form(one["name"], one["shape"]) + 1) / 2).float() for one in names)


def test_avmnist_experts_and_their_product(golden, filled, digits):
    case = golden("avmnist")["eval"]
    image, audio = filled(LeNet(size=28), "unimodal_0."), filled(LeNet(size=112), "unimodal_1.")
    alone = image(digits[0]), audio(digits[1])
    joint = filled(LateFusion(), "lf.")(*digits)
    said = {
        "lenet0_features": image.encoder(digits[0]),
        "lenet1_features_first16": audio.encoder(digits[1])[:, :16],
        "unimodal_0": alone[0][:, 0],
        "unimodal_1": alone[1][:, 0],
        "inter_lf": joint[:, 0],
        "i2m2_lf_logprob": product(*alone, joint)[:, 0],
    }
    for name, logits in said.items():
        torch.testing.assert_close(logits, torch.tensor(case[name]), **CLOSE, msg=name)


def test_products_of_published_logits(golden):
    for case in golden("products")["cases"].values():
        logits = torch.tensor(case["logits"])[:, :, None]
        torch.testing.assert_close(product(*logits)[:, 0], torch.tensor(case["logprob"]), **CLOSE)


def test_low_rank_shapes_are_the_published(golden):
    factors = LowRankFusion().fuse.factors
    assert [list(factor.shape) for factor in factors] == golden("avmnist")["lrtf_factor_shapes"]
