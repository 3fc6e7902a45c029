"""An expert that takes part in training only."""

import pytest
import torch

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.errors import ConfigError


def test_a_silent_expert_is_heard_in_training_and_not_after():
    log_probs = torch.randn(3, 5, 1, 4, generator=torch.Generator().manual_seed(0)).log_softmax(dim=-1)
    present = torch.ones(3, 5, dtype=torch.bool)
    silent, plain = ProductOfExperts(silent=[0]), ProductOfExperts()
    torch.testing.assert_close(silent.train()(log_probs, present), plain(log_probs, present))
    torch.testing.assert_close(silent.eval()(log_probs, present), plain.eval()(log_probs[1:], present[1:]))


def test_it_is_heard_where_no_other_is_there():
    log_probs = torch.randn(2, 3, 1, 4, generator=torch.Generator().manual_seed(0)).log_softmax(dim=-1)
    present = torch.tensor([[True, True, True], [True, False, True]])
    answer = ProductOfExperts(silent=[0]).eval()(log_probs, present)
    torch.testing.assert_close(answer[1], log_probs[0, 1])


def test_a_place_without_an_expert_is_said():
    with pytest.raises(ConfigError, match="silent names expert 2"):
        ProductOfExperts(silent=[2]).eval()(torch.zeros(2, 1, 1, 2), torch.ones(2, 1, dtype=torch.bool))
