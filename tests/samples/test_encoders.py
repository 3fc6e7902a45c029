"""A model holds the hash of the backbone whose vectors it was trained on."""

import pytest
import torch
from monai.transforms.compose import Compose
from torch import nn

from i2m2_med.errors import ModelError
from i2m2_med.experts.frozen_features import FrozenFeatures
from i2m2_med.samples.encoders import check_encoders, encoder_digests
from i2m2_med.samples.frozen import FrozenFeaturesd


def step(seed: int, how: str = "", key: str = "picture") -> FrozenFeaturesd:
    torch.manual_seed(seed)
    return FrozenFeaturesd([key], FrozenFeatures(nn.Linear(3, 2), 2, frozen=True, how=how), picture="picture")


def test_the_hash_is_of_weights_and_of_how_states_become_a_vector() -> None:
    one = encoder_digests(Compose([step(0), step(1, key="other")]))
    assert list(one) == ["picture", "other"]
    assert encoder_digests(Compose([step(0)])) == {"picture": one["picture"]}
    assert one["picture"] != encoder_digests(Compose([step(1)]))["picture"]
    assert one["picture"] != encoder_digests(Compose([step(0, how="mean")]))["picture"]
    assert encoder_digests(None) == {}


def test_another_backbone_is_refused_in_a_line() -> None:
    trained = encoder_digests(Compose([step(0)]))
    check_encoders(Compose([step(0)]), trained, "model")
    check_encoders(Compose([step(1)]), {}, "a model of an earlier version")
    now = encoder_digests(Compose([step(1)]))["picture"][:12]
    words = f"model: 'picture' was trained on vectors of the backbone {trained['picture'][:12]} .* names has {now}; put back"
    with pytest.raises(ModelError, match=words) as caught:
        check_encoders(Compose([step(1)]), trained, "model")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="names is not there"):
        check_encoders(None, trained, "model")
