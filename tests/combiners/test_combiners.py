"""Laws of every combiner, for any number of experts, rows, labels and classes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from i2m2_med.combiners import MeanOfExperts, ProductOfExperts

COMBINERS = [ProductOfExperts, MeanOfExperts]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
MAYBE_RULED_OUT = st.one_of(st.floats(-30, 30), st.just(float("-inf")))


@st.composite
def opinions(draw: st.DrawFn, values: st.SearchStrategy[float] = MAYBE_RULED_OUT) -> tuple[Tensor, Tensor]:
    """Log-probabilities (expert, batch, label, classes) with some −inf, and presence with an expert in every row."""
    shape = [draw(st.integers(1, most)) for most in (4, 3, 2, 5)]
    count = shape[0] * shape[1] * shape[2] * shape[3]
    logits = torch.tensor(draw(st.lists(values, min_size=count, max_size=count))).reshape(shape)
    logits[..., 0] = torch.where(
        logits.isneginf().all(-1), 0.0, logits[..., 0]
    )  # an expert rules out all but one at most
    if draw(st.booleans()):
        logits = logits.flip(-1)
    heard = draw(st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    present = torch.tensor(heard).reshape(shape[:2])
    present[0] |= ~present.any(dim=0)
    return logits.log_softmax(-1), present


@pytest.mark.parametrize("build", COMBINERS)
@pytest.mark.parametrize("dtype", DTYPES)
@given(opinions())
@settings(max_examples=25, deadline=None)
def test_rows_sum_to_one_in_any_precision(build, dtype, said):
    log_probs, present = said
    combined = build()(log_probs.to(dtype), present)
    assert combined.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    total = combined.double().exp().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-5, rtol=0)


@pytest.mark.parametrize("build", COMBINERS)
@given(opinions())
@settings(max_examples=50, deadline=None)
def test_gradients_are_finite(build, said):
    logits = said[0].requires_grad_()
    combined = build()(logits.log_softmax(-1), said[1])
    combined.masked_fill(combined.isneginf(), 0.0).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("build", COMBINERS)
@pytest.mark.parametrize("noise", [-torch.inf, torch.inf, torch.nan, 3.0])
@given(opinions())
@settings(max_examples=25, deadline=None)
def test_an_absent_expert_is_as_if_never_there(build, noise, said):
    log_probs, present = said
    absent = torch.full_like(log_probs[:1], noise)  # an absent expert may say anything
    more = torch.cat([log_probs, absent]), torch.cat([present, torch.zeros_like(present[:1])])
    torch.testing.assert_close(build()(*more), build()(log_probs, present), rtol=0, atol=0)


@pytest.mark.parametrize("build", COMBINERS)
@given(opinions())
@settings(max_examples=25, deadline=None)
def test_an_expert_alone_is_repeated(build, said):
    alone = said[0][:1]
    combined = build()(alone, torch.ones(alone.shape[:2], dtype=torch.bool))
    torch.testing.assert_close(combined, alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("build", COMBINERS)
@given(opinions(), st.randoms())
@settings(max_examples=25, deadline=None)
def test_the_order_of_experts_does_not_matter(build, said, random):
    log_probs, present = said
    order = random.sample(range(len(log_probs)), len(log_probs))
    torch.testing.assert_close(build()(log_probs[order], present[order]), build()(log_probs, present))


@pytest.mark.parametrize("build", COMBINERS)
@given(opinions())
@settings(max_examples=25, deadline=None)
def test_rows_do_not_see_each_other(build, said):
    log_probs, present = said
    alone = [build()(log_probs[:, row : row + 1], present[:, row : row + 1]) for row in range(log_probs.shape[1])]
    torch.testing.assert_close(torch.cat(alone), build()(log_probs, present), rtol=0, atol=0)


@given(opinions(st.floats(-30, 30)))
@settings(max_examples=50, deadline=None)
def test_product_is_the_normalised_product_of_probabilities(said):
    log_probs, present = said[0].double(), said[1]
    product = torch.where(present[:, :, None, None], log_probs.exp(), 1.0).prod(dim=0)
    expected = product / product.sum(-1, keepdim=True)
    torch.testing.assert_close(ProductOfExperts()(log_probs, present).exp(), expected, atol=1e-9, rtol=1e-6)


@given(opinions())
@settings(max_examples=50, deadline=None)
def test_mean_is_the_mean_of_probabilities(said):
    log_probs, present = said[0].double(), said[1]
    heard = torch.where(present[:, :, None, None], log_probs.exp(), 0.0)
    expected = heard.sum(dim=0) / present.sum(dim=0)[:, None, None]
    torch.testing.assert_close(MeanOfExperts()(log_probs, present).exp(), expected, atol=1e-9, rtol=1e-6)
