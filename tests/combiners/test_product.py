"""What only the product does: vetoes, contradictions and the class prior."""

import torch

from i2m2_med.combiners import ProductOfExperts

HEARD = torch.ones(3, 1, dtype=torch.bool)
NEVER = -torch.inf


def combine(*experts: list[float]) -> torch.Tensor:
    return ProductOfExperts()(torch.tensor(experts)[:, None, None], HEARD[: len(experts)])[0, 0].exp()


def test_a_class_that_one_expert_rules_out_is_out():
    torch.testing.assert_close(combine([NEVER, 0.0, 0.0], [5.0, 1.0, 1.0]), torch.tensor([0.0, 0.5, 0.5]))


def test_contradicting_experts_leave_the_classes_with_fewest_vetoes():
    said = [NEVER, 0.0, NEVER], [0.0, NEVER, NEVER], [0.7, 0.2, 0.1]
    log_odds = torch.tensor([0.7, 0.2]).softmax(-1)
    torch.testing.assert_close(combine(*said), torch.tensor([*log_odds.tolist(), 0.0]))


def test_two_certain_experts_that_contradict_each_other_say_nothing():
    torch.testing.assert_close(combine([0.0, NEVER], [NEVER, 0.0]), torch.tensor([0.5, 0.5]))


def test_dividing_by_the_prior_leaves_it_once():
    prior, seen = torch.tensor([0.9, 0.1]), torch.tensor([[0.2, 0.7], [0.5, 0.3]])  # p(x|y) of two experts
    posteriors = (prior * seen / (prior * seen).sum(-1, keepdim=True)).log()[:, None, None]
    expected = prior * seen.prod(dim=0)
    combiner = ProductOfExperts(prior="divide")
    combiner.set_prior(prior[None])
    combined = combiner(posteriors, HEARD[:2])[0, 0].exp()
    torch.testing.assert_close(combined, expected / expected.sum())
    absent = combiner(posteriors, torch.tensor([[True], [False]]))
    torch.testing.assert_close(absent, posteriors[0])  # one expert holds the prior once


def test_a_saved_prior_is_loaded_whole():
    saved, loaded = ProductOfExperts(prior="divide"), ProductOfExperts(prior="divide")
    saved.set_prior(torch.tensor([[0.9, 0.1], [0.5, 0.5]]))
    loaded.load_state_dict(saved.state_dict())
    assert torch.equal(loaded.log_prior, saved.log_prior)


def test_training_takes_the_short_way_to_the_same_bits():
    """Where every expert is heard and rules nothing out; what training then sees is what evaluation computes."""
    torch.manual_seed(0)
    said = torch.randn(3, 7, 2, 60).log_softmax(-1)
    short, long = said.clone().requires_grad_(), said.clone().requires_grad_()
    combiner = ProductOfExperts()
    everybody = torch.ones(3, 7, dtype=torch.bool)
    quick, whole = combiner.train()(short, everybody), combiner.eval()(long, everybody)
    assert torch.equal(quick, whole)
    for answer in (quick, whole):
        (answer * torch.arange(60.0)).sum().backward()
    torch.testing.assert_close(short.grad, long.grad, rtol=0, atol=0)
    said[0, 0, 0, 0] = NEVER
    assert torch.equal(combiner.train()(said, everybody), combiner.eval()(said, everybody))
