"""The token transformer and I2MoE: absence, order, interaction losses, and one golden number each."""

import pytest
import torch
from torch import nn
from torch.nn.functional import pairwise_distance

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.experts import I2MoE, LeNetEncoder, PreActEncoder, SeriesEncoder, StaticEncoder, TokenTransformer
from i2m2_med.experts.i2moe import interaction_losses, replaced
from i2m2_med.experts.tokens import ModalityTokens
from i2m2_med.model import I2M2

BATCH = 5


def encoders() -> list[nn.Module]:
    return [StaticEncoder(4, 6), SeriesEncoder(3, 7, 2), StaticEncoder(2, 3)]


@pytest.fixture
def inputs() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(BATCH, 4), torch.randn(BATCH, 7, 3), torch.randn(BATCH, 2)]


@pytest.fixture
def transformer() -> TokenTransformer:
    torch.manual_seed(0)
    return TokenTransformer(encoders(), width=8, heads=2, hidden=12, labels=2, classes=3).eval()


@pytest.fixture
def mixture() -> I2MoE:
    torch.manual_seed(0)
    return I2MoE(encoders(), width=8, hidden=6, dropout=0.0, labels=2, classes=3)


def test_what_is_absent_may_be_anything(transformer, inputs):
    present = torch.rand(3, BATCH, generator=torch.Generator().manual_seed(2)) < 0.5
    present[0, 0] = present[:, 1] = True
    present[2] |= ~present.any(dim=0)
    said = transformer(*inputs, present=present)
    for noise in (torch.nan, 1e4):
        other = [
            torch.where(there.view(-1, *[1] * (x.ndim - 1)), x, noise) for x, there in zip(inputs, present, strict=True)
        ]
        torch.testing.assert_close(transformer(*other, present=present), said)
    assert said.isfinite().all()


def test_a_modality_that_nobody_has_is_as_if_it_were_not_read(transformer, inputs):
    present = torch.tensor([True, True, False])[:, None].expand(3, BATCH)
    fewer = TokenTransformer(encoders()[:2], width=8, heads=2, hidden=12, labels=2, classes=3).eval()
    weights = transformer.state_dict() | {"tokens.which": transformer.tokens.which[:2]}
    fewer.load_state_dict({name: weights[name] for name in fewer.state_dict()})
    torch.testing.assert_close(transformer(*inputs, present=present), fewer(*inputs[:2]))


def test_the_order_of_reading_does_not_matter(transformer, inputs):
    order = [2, 0, 1]
    other = TokenTransformer([encoders()[at] for at in order], width=8, heads=2, hidden=12, labels=2, classes=3)
    other.load_state_dict(
        other.state_dict()
        | {name: tensor for name, tensor in transformer.state_dict().items() if not name.startswith("tokens.")}
        | {"tokens.which": transformer.tokens.which[order]}
    )
    for parts in ("encoders", "project"):
        for at, old in enumerate(order):
            theirs = getattr(transformer.tokens, parts)[old]
            getattr(other.tokens, parts)[at].load_state_dict(theirs.state_dict())
    torch.testing.assert_close(other.eval()(*[inputs[at] for at in order]), transformer(*inputs))


def test_it_answers_for_whatever_a_study_has(transformer, inputs):
    names = ("static", "series", "more")
    model = I2M2({"all": transformer}, {"all": names}, ProductOfExperts(), (2, 3), lenient=["all"])
    present = {name: torch.ones(BATCH, dtype=torch.bool) for name in names}
    present["series"] = torch.tensor([True, False, False, True, False])
    present["static"] = torch.tensor([True, True, False, True, False])
    present["more"] = torch.tensor([True, True, True, False, False])
    said = model(dict(zip(names, inputs, strict=True)), present)
    assert said.present[0].tolist() == [True, True, True, True, False]
    alone = transformer(*[x[3:4] for x in inputs], present=torch.tensor([[True], [True], [False]]))
    torch.testing.assert_close(said.log_probs[3:4], alone.log_softmax(-1))
    assert (said.experts[0, 4] == 0).all()
    assert model.can_answer("all", {"series"})
    assert not model.can_answer("all", set())


def test_tokens_say_how_many_modalities_they_take(inputs):
    with pytest.raises(ValueError, match="3 encoders were given 2 modalities"):
        ModalityTokens(encoders(), 4)(inputs[:2])


@pytest.mark.parametrize("encoder", [PreActEncoder(1, stem="strided", width=4), LeNetEncoder(40, 1, 2)])
def test_image_encoders_give_the_features_that_they_promise(encoder):
    assert encoder(torch.randn(2, 1, 40, 40)).shape == (2, encoder.features)


def test_weights_of_interactions_sum_to_one(mixture, inputs):
    weights = mixture.weights(mixture.tokens(inputs))
    assert weights.shape == (BATCH, 5)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(BATCH))


def test_the_answer_is_the_weighted_mean_of_the_fusions(mixture, inputs):
    mixture.eval()
    tokens = mixture.tokens(inputs)
    each = torch.stack([fusion(tokens) for fusion in mixture.fusions], dim=1)
    mean = (mixture.weights(tokens)[..., None] * each).sum(dim=1)
    torch.testing.assert_close(mixture(*inputs), mean.view(BATCH, 2, 3))


def test_it_adds_its_interaction_losses_while_it_is_trained_only(mixture, inputs):
    model = I2M2({"all": mixture}, {"all": ("a", "b", "c")}, ProductOfExperts(), (2, 3))
    present = {name: torch.ones(BATCH, dtype=torch.bool) for name in "abc"}
    torch.manual_seed(5)
    trained = model.train()(dict(zip("abc", inputs, strict=True)), present)
    torch.manual_seed(5)
    _, own = mixture(*inputs)
    assert trained.own_loss.item() == own.item() != 0
    judged = model.eval()(dict(zip("abc", inputs, strict=True)), present)
    assert float(judged.own_loss) == 0
    torch.testing.assert_close(judged.log_probs, trained.log_probs)  # no dropout: noise is in the losses alone
    own.backward()
    assert all(parameter.grad is not None for parameter in mixture.fusions.parameters())


def test_noise_takes_the_place_of_one_modality(mixture, inputs):
    tokens = mixture.tokens(inputs)
    other = replaced(tokens, 1)
    assert torch.equal(other[:, [0, 2]], tokens[:, [0, 2]])
    assert not torch.isclose(other[:, 1], tokens[:, 1]).any()


def test_losses_are_those_of_the_paper():
    """Written out with plain distances and cosines, for two modalities and three passes."""
    answers = [torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    whole, first, second = zip(*answers, strict=True)

    def triplet(at: int, near: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
        return (pairwise_distance(whole[at], near) - pairwise_distance(whole[at], far) + 1).clamp_min(0).mean()

    def cosine(at: int) -> torch.Tensor:
        unit = [one / one.norm(dim=1, keepdim=True) for one in (whole[at], first[at], second[at])]
        return torch.stack([(unit[0] * other).sum(1).mean() for other in unit[1:]]).mean()

    expected = [triplet(0, second[0], first[0]), triplet(1, first[1], second[1]), cosine(2), 1 - cosine(3)]
    torch.testing.assert_close(interaction_losses(answers), torch.stack(expected))


@torch.no_grad()
def test_golden_numbers(closed_form):
    """Parameters and inputs by a closed formula: what a change of architecture would change."""
    made = {"tokens": TokenTransformer(encoders(), width=8, heads=2), "i2moe": I2MoE(encoders(), width=8)}
    x = [torch.from_numpy(closed_form(f"x{at}", shape)).float() for at, shape in enumerate([(2, 4), (2, 7, 3), (2, 2)])]
    said = {}
    for name, network in made.items():
        for key, tensor in network.state_dict().items():
            tensor.copy_(torch.from_numpy(closed_form(f"{name}.{key}", tuple(tensor.shape))))
        said[name] = network.eval()(*x)[0, 0]
    torch.testing.assert_close(said["tokens"], torch.tensor([0.876227, -1.796152]), atol=1e-4, rtol=0)
    torch.testing.assert_close(said["i2moe"], torch.tensor([0.358733, 2.063603]), atol=1e-4, rtol=0)
