"""The loss of soft scores is a likelihood: exact for scores of one, and never better than for the truth itself."""

import pytest
import torch
from torch import nn

from i2m2_med.engine.training.loss import MaskedNLL, Objective, PerLabel
from i2m2_med.errors import ConfigError
from i2m2_med.model import Opinions


def drawn(seed: int = 0):
    log_probs = torch.randn(7, 2, 5, generator=torch.Generator().manual_seed(seed)).log_softmax(dim=-1)
    index = torch.arange(14).reshape(7, 2) % 5
    return log_probs, index, nn.functional.one_hot(index, 5).float()


@pytest.mark.parametrize("weight", [None, torch.rand(2, 5) + 0.5])
def test_one_certain_class_costs_what_its_index_does(weight):
    log_probs, index, scores = drawn()
    loss = MaskedNLL(weight)
    torch.testing.assert_close(loss(log_probs, scores), loss(log_probs, index))


def test_only_the_ratio_of_scores_counts():
    log_probs, _, scores = drawn()
    torch.testing.assert_close(MaskedNLL()(log_probs, scores * 0.3), MaskedNLL()(log_probs, scores))


def test_it_is_least_where_probabilities_are_the_scores():
    scores = torch.tensor([[[1.0, 0.5, 0.0]]])
    right = MaskedNLL()((scores / 1.5).log(), scores)
    assert torch.isfinite(right)
    assert right < MaskedNLL()(torch.tensor([[[0.5, 0.4, 0.1]]]).log(), scores)


def test_a_sample_without_any_score_adds_nothing():
    log_probs, index, scores = drawn()
    scores[3:] = 0
    torch.testing.assert_close(MaskedNLL()(log_probs, scores), MaskedNLL()(log_probs[:3], index[:3]))


def test_torchs_cross_entropy_takes_scores_and_focal_loss_says_that_it_does_not():
    from monai.losses.focal_loss import FocalLoss

    log_probs, _, scores = drawn()
    same = PerLabel([nn.CrossEntropyLoss(), nn.CrossEntropyLoss()])(log_probs, scores * 0.6)
    torch.testing.assert_close(same, MaskedNLL()(log_probs, scores))
    with pytest.raises(ConfigError, match="soft scores"):
        PerLabel([FocalLoss(to_onehot_y=True)] * 2)(log_probs, scores)


def test_samples_that_no_expert_read_add_nothing():
    log_probs, index, scores = drawn()
    present = torch.tensor([[True] * 4 + [False] * 3])
    opinions = Opinions(log_probs, log_probs[None], present)
    torch.testing.assert_close(
        Objective(MaskedNLL(), 0.5)(opinions, scores), 1.5 * MaskedNLL()(log_probs[:4], index[:4])
    )
