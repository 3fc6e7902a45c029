"""Encoders of columns, signals and images: laws on odd shapes, and that each learns what only it can."""

import pytest
import torch
from monai.networks.nets.densenet import DenseNet
from monai.networks.nets.resnet import ResNet
from monai.networks.nets.swin_unetr import SwinUNETR
from monai.networks.nets.unet import UNet
from monai.networks.nets.vit import ViT
from torch import nn

from i2m2_med.errors import ConfigError
from i2m2_med.experts import ColumnsEncoder, ColumnsTransformer, ImageEncoder, Joint, SignalEncoder

KINDS = [ColumnsEncoder, ColumnsTransformer]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("numbers", "categories"), [(3, 2), (3, 0), (0, 2)])
def test_columns_of_any_kinds_are_read(kind: type, numbers: int, categories: int):
    encoder = kind(numbers, categories, levels=4)
    assert encoder(torch.zeros(5, 2 * (numbers + categories))).shape == (5, encoder.features)
    with pytest.raises(ValueError, match=f"are {2 * (numbers + categories)} entries"):
        encoder(torch.zeros(5, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_number_is_no_average(kind: type):
    torch.manual_seed(0)
    encoder = kind(1, 1, levels=4).eval()
    average, missing = encoder(torch.tensor([[0.0, 2, 1, 1], [0.0, 2, 0, 1]]))
    assert not torch.allclose(average, missing)


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_told_apart_and_a_code_beyond_the_last_is_unknown(kind: type):
    torch.manual_seed(0)
    encoder = kind(0, 2, levels=3).eval()
    first, second, beyond, unknown = encoder(
        torch.tensor([[2.0, 4, 1, 1], [3.0, 4, 1, 1], [9.0, 4, 1, 1], [1.0, 4, 1, 1]])
    )
    assert not torch.allclose(first, second)
    torch.testing.assert_close(beyond, unknown)


def test_a_column_has_a_token_of_its_own():
    """Two columns that trade their values say something else."""
    torch.manual_seed(0)
    encoder = ColumnsTransformer(2, 0).eval()
    one, other = encoder(torch.tensor([[1.0, -1, 1, 1], [-1.0, 1, 1, 1]]))
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("length", [33, 250])
def test_signals_of_any_length_are_read_whatever_their_unit(length: int):
    torch.manual_seed(0)
    encoder = SignalEncoder(3)
    signal = torch.randn(4, 3, length)
    assert encoder(signal).shape == (4, encoder.features)
    torch.testing.assert_close(encoder(1000 * signal + 5), encoder(signal), atol=2e-3, rtol=1e-3)


NETWORKS = {
    "DenseNet": lambda: DenseNet(3, 1, 7, init_features=8, growth_rate=4, block_config=(1, 1)),
    "ResNet": lambda: ResNet("basic", [1, 1, 1, 1], [4, 8, 8, 16], 3, 1, num_classes=7),
    "ViT": lambda: ViT(1, (32,) * 3, (16,) * 3, 24, 32, 1, 2, classification=True, num_classes=7),
    "SwinUNETR": lambda: SwinUNETR(1, 7, feature_size=12),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_without_its_head_gives_its_features(name: str):
    encoder = ImageEncoder(NETWORKS[name]()).eval()
    with torch.no_grad():
        features = encoder(torch.zeros(1, 1, 32, 32, 32))
    assert features.shape == (1, encoder.features)
    assert encoder.features != 7, "the head is off"


def test_a_network_whose_head_is_not_known_says_how_many_features():
    network = UNet(2, 1, 5, channels=(4, 8), strides=(2,))
    with pytest.raises(ConfigError, match="the head of UNet is not known"):
        ImageEncoder(network)
    assert ImageEncoder(network, features=5)(torch.zeros(2, 1, 16, 16)).shape == (2, 5)
    with pytest.raises(ValueError, match="answers 5 features, not 6"):
        ImageEncoder(network, features=6)(torch.zeros(2, 1, 16, 16))


def test_a_sample_alone_in_its_batch_can_be_trained_on():
    encoder = ImageEncoder(NETWORKS["ResNet"]()).train()
    encoder(torch.randn(1, 1, 32, 32, 32)).sum().backward()
    assert all(layer.training for layer in encoder.modules())


def test_joint_takes_encoders_of_any_kinds():
    encoders: list[nn.Module] = [ImageEncoder(NETWORKS["ResNet"]()), ColumnsEncoder(2, 1), SignalEncoder(1)]
    joint = Joint(encoders, labels=2, classes=3)
    answer = joint(torch.zeros(3, 1, 32, 32, 32), torch.zeros(3, 6), torch.randn(3, 1, 64))
    assert answer.shape == (3, 2, 3)
