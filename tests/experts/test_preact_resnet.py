"""Laws of the residual experts."""

import pytest
import torch

from i2m2_med.errors import ConfigError
from i2m2_med.experts import PreActResNet18, WideResNet
from i2m2_med.experts.residual import make_norm, make_stem

SMALL = {"width": 4, "pool": 2}


@pytest.mark.parametrize("norm", ["group", "layer", "batch"])
@pytest.mark.parametrize("stem", ["published", "strided"])
@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_any_size_norm_and_stem_answers_every_label(norm, stem, size):
    network = PreActResNet18(channels=1, labels=3, classes=5, norm=norm, stem=stem, **SMALL)
    logits = network(torch.randn(2, 1, *size))
    assert logits.shape == (2, 3, 5)
    assert logits.isfinite().all()


def test_published_size():
    network = PreActResNet18(channels=1)
    assert {tuple(head.weight.shape) for head in network.heads} == {(2, 51200)}
    assert (
        sum(tensor.numel() for tensor in network.parameters()) == 11_574_472
    )  # the published 11.58 M without what is never used
    assert all(module.num_groups == 32 for module in network.modules() if isinstance(module, torch.nn.GroupNorm))


def test_he_initialisation_by_fan_out():
    weights = PreActResNet18().layer2[0].conv1.weight  # 64 → 128 channels, 3×3
    assert weights.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)


def test_modalities_are_joined_on_the_channel_axis():
    network = PreActResNet18(channels=3, **SMALL).eval()
    magnitude, both = torch.randn(2, 1, 32, 32), torch.randn(2, 2, 32, 32)
    torch.testing.assert_close(network(magnitude, both), network(torch.cat([magnitude, both], dim=1)))


@pytest.mark.parametrize("build", [PreActResNet18, WideResNet])
def test_recomputing_changes_no_gradient(build):
    size = SMALL if build is PreActResNet18 else {"widen": 1, "depth": 8}
    kept, recomputed = build(**size), build(**size, checkpoint=True)
    recomputed.load_state_dict(kept.state_dict())
    image = torch.randn(2, 1, 33, 33)
    for network in (kept, recomputed):
        network(image).log_softmax(-1)[..., 0].sum().backward()
    for ours, theirs in zip(kept.parameters(), recomputed.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0)


def test_a_sample_is_judged_alone():
    network = PreActResNet18(**SMALL)
    images = torch.randn(3, 1, 32, 32)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]))


def test_wrong_settings_are_one_clear_line():
    with pytest.raises(ConfigError, match="norm: 'instance'"):
        make_norm("instance", 32)
    with pytest.raises(ConfigError, match="stem: 'patch'"):
        make_stem("patch", 1, 8)
    with pytest.raises(ConfigError, match="checkpoint: "):
        PreActResNet18(**SMALL, norm="batch", checkpoint=True)


@pytest.mark.parametrize(("depth", "blocks"), [(20, 3), (22, 3), (16, 2), (8, 1)])
def test_wide_resnet_depth_counts_blocks(depth, blocks):
    network = WideResNet(depth=depth, widen=1, labels=2, classes=3)
    assert [len(stage) for stage in (network.layer1, network.layer2, network.layer3)] == [blocks] * 3
    assert network(torch.randn(2, 1, 32, 35)).shape == (2, 2, 3)


def test_wide_resnet_refuses_a_depth_it_cannot_have():
    with pytest.raises(ConfigError, match="depth: 21"):
        WideResNet(depth=21)
