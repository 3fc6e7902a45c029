"""Laws of the AV-MNIST experts."""

import pytest
import torch

from i2m2_med.errors import ConfigError
from i2m2_med.experts import LateFusion, LeNet, LowRankFusion
from i2m2_med.experts.fusion import LowRankProduct


@pytest.mark.parametrize("size", [4, 28, 31, 112])
def test_any_size_ends_in_one_pixel(size):
    network = LeNet(size=size, channels=2, labels=2, classes=3).eval()
    assert network(torch.randn(1, 2, size, size)).shape == (1, 2, 3)
    assert network.encoder.features == 3 * 2 ** (size.bit_length() - 2)


def test_too_small_an_image_is_refused():
    with pytest.raises(ConfigError, match="size: 3"):
        LeNet(size=3)


def test_each_block_halves_the_image():
    """9 → 4 → 2 → 1 pixels, of 3, 6 and 12 channels, none of them negative."""
    network = LeNet(size=9).encoder.eval()
    shapes = []
    for norm in network.bns:
        norm.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    features = network(torch.randn(2, 1, 9, 9))
    assert shapes == [(3, 9, 9), (6, 4, 4), (12, 2, 2)]
    assert features.shape == (2, 12)
    assert (features >= 0).all()


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
