"""Laws of the AV-MNIST experts."""

import copy

import pytest
import torch

from i2m2_med.errors import ConfigError
from i2m2_med.experts import LateFusion, LeNet, LowRankFusion, halving
from i2m2_med.experts.fusion import LowRankProduct


@pytest.mark.parametrize("size", [4, 28, 31, 112])
def test_any_size_ends_in_one_pixel(size):
    network = LeNet(size=size, channels=2, labels=2, classes=3).eval()
    assert network(torch.randn(1, 2, size, size)).shape == (1, 2, 3)
    assert network.encoder.features == 3 * 2 ** (size.bit_length() - 2)


def test_too_small_an_image_is_refused():
    with pytest.raises(ConfigError, match="size: 3"):
        LeNet(size=3)


def test_pooling_before_relu_is_the_published_block():
    """The published block is conv → BatchNorm → ReLU → max-pool; ReLU is monotone, so pooling first gives the same."""
    network = LeNet(size=9).encoder.eval()
    image = torch.randn(2, 1, 9, 9)
    published = image
    for conv, norm in zip(network.convs, network.bns, strict=True):
        published = torch.nn.functional.max_pool2d(norm(conv(published)).relu(), 2)
    torch.testing.assert_close(network(image), published.flatten(1), rtol=0, atol=0)


def plain(network, image):
    """The published block by block."""
    for conv, norm in zip(network.convs, network.bns, strict=True):
        image = torch.nn.functional.max_pool2d(norm(conv(image)).relu(), 2)
    return image.flatten(1)


def step(network, forward, image, weights):
    """One training step's features and gradients, and the statistics it leaves."""
    features = forward(network, image)
    (features * weights).sum().backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    return {"features": features, **gradients, **dict(network.named_buffers())}


@pytest.mark.parametrize(("size", "channels", "batch"), [(28, 1, 5), (30, 2, 9), (9, 1, 5), (6, 1, 4), (7, 2, 1)])
def test_training_is_the_published_blocks_gradients_and_statistics_too(size, channels, batch, monkeypatch):
    monkeypatch.setattr(halving, "MANY", 0)
    fast = LeNet(size=size, channels=channels, width=4).encoder.double()
    for norm in fast.bns:
        torch.nn.init.normal_(norm.weight)  # negative scales too
        torch.nn.init.normal_(norm.bias)
    slow = copy.deepcopy(fast)
    image = torch.randn(batch, channels, size, size, dtype=torch.float64)
    image[0] = 0.5  # flat: every window is a tie
    image[1:3, :, ::2] = 0
    weights = torch.randn(batch, fast.features, dtype=torch.float64)
    ours = step(fast, lambda network, image: network(image), image, weights)
    torch.testing.assert_close(ours, step(slow, plain, image, weights))


def test_float32_training_is_the_published_blocks_to_rounding():
    torch.manual_seed(0)  # some draws hold windows that tie to float32's rounding: another pixel may then win
    fast = LeNet(size=112, width=6).encoder
    slow = copy.deepcopy(fast).double()
    image, weights = torch.rand(9, 1, 112, 112), torch.randn(9, fast.features)
    ours = step(fast, lambda network, image: network(image), image, weights)
    theirs = step(slow, plain, image.double(), weights.double())
    for name, exact in ((name, value.double()) for name, value in theirs.items()):
        assert torch.linalg.vector_norm(ours[name] - exact) <= 1e-4 * torch.linalg.vector_norm(exact), name


def test_evaluation_piece_by_piece_is_the_same(monkeypatch):
    network = LeNet(size=9).encoder.double().eval()
    image = torch.randn(7, 1, 9, 9, dtype=torch.float64)
    whole = network(image)
    monkeypatch.setattr(halving, "AT_ONCE", 500)  # three pieces in the first block
    torch.testing.assert_close(network(image), whole)
    assert network(image[:0]).shape == (0, network.features)


def test_an_image_that_asks_for_its_gradient_gets_it(monkeypatch):
    monkeypatch.setattr(halving, "MANY", 0)
    network = LeNet(size=8).encoder.double()
    image = torch.randn(3, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    ours, theirs = (
        torch.autograd.grad(forward(copy.deepcopy(network), image).square().sum(), image)[0]
        for forward in (lambda network, image: network(image), plain)
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("build", [LateFusion, LowRankFusion])
def test_fusion_reads_any_number_of_modalities(build):
    network = build(sizes=(5, 9, 8), width=2, classes=4).eval()
    assert network(*(torch.randn(3, 1, size, size) for size in (5, 9, 8))).shape == (3, 1, 4)


def test_low_rank_product_is_the_sum_over_ranks_of_products():
    fuse = LowRankProduct(features=(3, 5), outputs=7, rank=4)
    features = torch.randn(6, 3), torch.randn(6, 5)
    with torch.no_grad():
        fuse.fusion_bias.normal_()
        expected = fuse.fusion_bias.expand(6, 7).clone()
        for rank in range(4):
            parts = [
                torch.cat([torch.ones(6, 1), values], dim=1) @ factor[rank]
                for values, factor in zip(features, fuse.factors, strict=True)
            ]
            expected += fuse.fusion_weights[0, rank] * parts[0] * parts[1]
    torch.testing.assert_close(fuse(*features), expected)


def test_low_rank_factors_are_trained():
    network = LowRankFusion(sizes=(5, 9), width=2)
    before = [factor.detach().clone() for factor in network.fuse.factors]
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.randn(4, 1, 5, 5), torch.randn(4, 1, 9, 9)).log_softmax(-1)[..., 0].sum().backward()
    optimiser.step()
    assert all(not torch.equal(old, new) for old, new in zip(before, network.fuse.factors, strict=True))
