"""Laws of the combiners that learn: they start as the product, and learn whom to listen to."""

import pytest
import torch
from torch import Tensor

from i2m2_med.combiners import GatedProduct, ProductOfExperts, StackedExperts

EXPERTS, BATCH, LABELS, CLASSES = 3, 7, 2, 5
LEARNT = [StackedExperts, GatedProduct]


@pytest.fixture
def opinions() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    present = torch.rand(EXPERTS, BATCH) < 0.6
    present[0] |= ~present.any(dim=0)
    return torch.randn(EXPERTS, BATCH, LABELS, CLASSES).log_softmax(-1), present


@pytest.fixture(params=LEARNT)
def trained(request) -> torch.nn.Module:
    """A combiner away from where it starts."""
    torch.manual_seed(1)
    combiner = request.param(EXPERTS, LABELS, CLASSES)
    for parameter in combiner.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return combiner


@pytest.mark.parametrize("build", LEARNT)
def test_it_starts_as_the_product(build, opinions):
    torch.testing.assert_close(build(EXPERTS, LABELS, CLASSES)(*opinions), ProductOfExperts()(*opinions))


@pytest.mark.parametrize("noise", [torch.nan, torch.inf, -torch.inf, 3.0])
def test_an_absent_expert_may_say_anything(trained, opinions, noise):
    log_probs, present = opinions
    other = torch.where(present[:, :, None, None], log_probs, noise)
    torch.testing.assert_close(trained(other, present), trained(log_probs, present), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rows_sum_to_one(trained, opinions, dtype):
    combined = trained(opinions[0].to(dtype), opinions[1])
    torch.testing.assert_close(
        combined.exp().sum(-1), torch.ones(BATCH, LABELS, dtype=combined.dtype), atol=1e-5, rtol=0
    )


def test_gradients_are_finite_when_a_class_is_ruled_out(trained, opinions):
    logits = opinions[0].clone()
    logits[0, :, :, 2] = -torch.inf
    logits.requires_grad_()
    trained(logits.log_softmax(-1), opinions[1]).logsumexp(-1).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in trained.parameters())
    assert logits.grad.isfinite().all()


def test_gates_lie_between_unheard_and_double(opinions):
    combiner = GatedProduct(EXPERTS, LABELS, CLASSES)
    torch.nn.init.normal_(combiner.gate[2].weight)
    log_probs, present = opinions
    gates = combiner.gates(torch.where(present[:, :, None, None], log_probs, 0.0), present)
    assert (gates[~present] == 0).all()
    assert ((gates[present] > 0) & (gates[present] < 2)).all()


def say(right: Tensor, target: Tensor) -> Tensor:
    """Log-probabilities (batch, 1, 2) of an expert that is sure, and right where `right`."""
    said = torch.where(right, target, 1 - target)
    return torch.where(torch.nn.functional.one_hot(said, 2).bool(), 0.95, 0.05).log()[:, None]


@pytest.mark.parametrize("build", LEARNT)
def test_it_learns_to_doubt_an_expert_that_guesses(build):
    torch.manual_seed(0)
    target = torch.randint(0, 2, (600,))
    right = torch.rand(2, 600) < torch.tensor([0.95, 0.5])[:, None]
    log_probs, present = torch.stack([say(each, target) for each in right]), torch.ones(2, 600, dtype=torch.bool)
    combiner = build(2, 1, 2)
    optimizer = torch.optim.Adam(combiner.parameters(), lr=0.05)
    loss = torch.nn.functional.nll_loss
    before = loss(combiner(log_probs, present)[:, 0], target).item()
    for _ in range(150):
        optimizer.zero_grad()
        now = loss(combiner(log_probs, present)[:, 0], target)
        now.backward()
        optimizer.step()
    alone = loss(log_probs[0, :, 0], target).item()
    assert now.item() < 0.6 * before
    assert now.item() < 1.1 * alone
