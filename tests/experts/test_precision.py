"""`training.precision: bf16` on a CPU, for every expert and encoder of the house: what is said and learnt is finite, and near float32's.

Inputs are of odd sizes and as large as standardised numbers get (± 50); pictures differ, or are all but alike. Memory that is asked for
is full of NaN, so that a kernel that leaves some of it unwritten is found.
"""

from collections.abc import Callable, Generator
from typing import Any

import pytest
import torch
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn

from i2m2_med import experts
from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.training import Training
from i2m2_med.engine.training.devices import bfloat16, fused, mend_small_convolutions, settle
from i2m2_med.engine.training.loss import MaskedNLL, Objective
from i2m2_med.experts import Joint
from i2m2_med.model import I2M2

BATCH, SHAPE = 5, (2, 3)
BF16 = Training(precision="bf16")
"""Odd sizes: labels 2, classes 3, a batch of 5."""
Made = tuple[nn.Module, list[Tensor]]
Draw = Callable[..., Tensor]
"""A shape of one sample → a batch of pictures."""


def numbers(*shape: int, scale: float = 1.0) -> Tensor:
    """Standard normal numbers, times `scale`; a twentieth of them are 50 times as far out."""
    drawn = scale * torch.randn(shape)
    return torch.where(torch.rand(shape) < 0.05, 50 * drawn.sign(), drawn)


def columns() -> Tensor:
    """Three numbers, two categories, and which are known."""
    return torch.cat([numbers(BATCH, 3), torch.randint(4, (BATCH, 2)), torch.rand(BATCH, 5).round()], dim=1)


def hours() -> Tensor:
    """Seven hours of three channels: values, measured, hours since; one stay without any measurement."""
    measured = torch.rand(BATCH, 7, 3).round()
    measured[0] = 0
    return torch.cat([numbers(BATCH, 7, 3), measured, 50 * torch.rand(BATCH, 7, 3)], dim=2)


def tokens(vocabulary: int = 30) -> Tensor:
    """Two chunks of up to nine words; one text is empty."""
    drawn = torch.randint(1, vocabulary, (BATCH, 2, 9)) * torch.rand(BATCH, 2, 9).round().long()
    drawn[0] = 0
    return drawn


def objects() -> Tensor:
    """Three boxes of up to five objects."""
    drawn = numbers(BATCH, 3, 5, 18)
    drawn[..., 0] = torch.rand(BATCH, 3, 5).round()
    return drawn


def different(*shape: int) -> Tensor:
    """Pictures from 0 to 1."""
    return torch.rand(BATCH, *shape)


def all_but_alike(*shape: int) -> Tensor:
    """Pictures from 0 to 1 of which each is a hundredth away from the others; the last is all black."""
    drawn = (torch.rand(shape) + 0.01 * torch.randn((BATCH, *shape))).clamp(0, 1)
    drawn[-1] = 0
    return drawn


def of(*encoders: nn.Module) -> Joint:
    """Encoders with a head."""
    return Joint(encoders, labels=SHAPE[0], classes=SHAPE[1])


def volumes() -> nn.Module:
    """The network that `experts: auto` takes for volumes."""
    return ResNet(
        "basic",
        [1, 1, 1, 1],
        [8, 16, 32, 64],
        conv1_t_size=3,
        conv1_t_stride=2,
        spatial_dims=3,
        n_input_channels=1,
        norm="batch",
    )


HEADS: dict[str, Any] = {"labels": SHAPE[0], "classes": SHAPE[1]}
E = experts
CASES: dict[str, Callable[[Draw], Made]] = {
    "ColumnsEncoder": lambda _: (of(E.ColumnsEncoder(3, 2, levels=4)), [columns()]),
    "ColumnsTransformer": lambda _: (of(E.ColumnsTransformer(3, 2, levels=4)), [columns()]),
    "FeatureHead": lambda _: (E.FeatureHead(11, 24, **HEADS), [numbers(BATCH, 4), numbers(BATCH, 7)]),
    "FiLMSets": lambda _: (
        E.FiLMSets([E.ObjectParts(18, 16), E.WordsGRU(30, 12)], **HEADS),
        [objects(), tokens()],
    ),
    "ObjectParts": lambda _: (E.FiLMSets([E.ObjectParts(18, 16)], **HEADS), [objects()]),
    "PictureParts": lambda pictures: (E.FiLMSets([E.PictureParts(3, 16)], **HEADS), [pictures(2, 3, 33, 21)]),
    "GRUD": lambda _: (E.GRUD(3, 7, **HEADS), [hours()]),
    "GRUDEncoder": lambda _: (of(E.GRUDEncoder(3, 7, 11)), [hours()]),
    "I2MoE": lambda _: (
        E.I2MoE([E.StaticEncoder(5, 6), E.SeriesEncoder(9, 7, 3)], width=8, hidden=6, **HEADS),
        [numbers(BATCH, 5), hours()],
    ),
    "ImageEncoder": lambda pictures: (of(E.ImageEncoder(volumes())), [pictures(1, 16, 20, 17)]),
    "Joint": lambda _: (
        of(E.StaticEncoder(5), E.ColumnsEncoder(3, 2, levels=4)),
        [numbers(BATCH, 5), columns()],
    ),
    "LateFusion": lambda pictures: (
        E.LateFusion((13, 28), **HEADS),
        [pictures(1, 13, 13), pictures(1, 28, 28)],
    ),
    "LeNet": lambda pictures: (E.LeNet(13, **HEADS), [pictures(1, 13, 13)]),
    "LeNetEncoder": lambda _: (of(E.LeNetEncoder(28, 1, 3)), [numbers(BATCH, 1, 28, 28)]),
    "LowRankFusion": lambda pictures: (
        E.LowRankFusion(sizes=(13, 28), rank=5, outputs=12, **HEADS),
        [pictures(1, 13, 13), pictures(1, 28, 28)],
    ),
    "NotesAttention": lambda _: (E.NotesAttention(30, 12, **HEADS), [tokens()]),
    "NotesEncoder": lambda _: (of(E.NotesEncoder(30, 12)), [tokens()]),
    "PreActEncoder": lambda pictures: (of(E.PreActEncoder(1, stem="strided", width=4)), [pictures(1, 37, 33)]),
    "PreActResNet18": lambda pictures: (
        E.PreActResNet18(2, stem="strided", width=4, pool=2, **HEADS),
        [pictures(1, 37, 33), numbers(BATCH, 1, 37, 33)],
    ),
    "SeriesEncoder": lambda _: (of(E.SeriesEncoder(9, 7, 11)), [hours()]),
    "SeriesGRU": lambda _: (E.SeriesGRU(9, 7, **HEADS), [hours()]),
    "SeriesTransformer": lambda _: (E.SeriesTransformer(3, 7, **HEADS), [hours()]),
    "SeriesTransformerEncoder": lambda _: (of(E.SeriesTransformerEncoder(3, 7)), [hours()]),
    "SignalEncoder": lambda _: (of(E.SignalEncoder(3, 8)), [1000 * numbers(BATCH, 3, 131) + 5]),
    "StaticEncoder": lambda _: (of(E.StaticEncoder(5)), [numbers(BATCH, 5)]),
    "StaticMLP": lambda _: (E.StaticMLP(5, **HEADS), [numbers(BATCH, 5)]),
    "StaticSeriesJoint": lambda _: (
        E.StaticSeriesJoint(channels=9, hours=7, **HEADS),
        [numbers(BATCH, 5), hours()],
    ),
    "TokenTransformer": lambda _: (
        E.TokenTransformer([E.StaticEncoder(5, 6), E.GRUDEncoder(3, 7, 3)], width=8, heads=2, hidden=12, **HEADS),
        [numbers(BATCH, 5), hours()],
    ),
    "WideResNet": lambda pictures: (E.WideResNet(8, 1, **HEADS), [pictures(1, 37, 33)]),
    "WordsGRU": lambda _: (of(E.WordsGRU(30, 12)), [tokens()]),
}
ELSEWHERE = {
    "EfficientNetLite",
    "HuggingFaceEncoder",
    "HuggingFaceJoint",
    "HuggingFaceNotes",
    "HuggingFacePair",
    "HuggingFacePictures",
}
"""Backbones from a folder: those that are frozen compute in float32 whatever is asked for (test_huggingface.py)."""


OF_PICTURES = (
    "ImageEncoder",
    "LateFusion",
    "LeNet",
    "LowRankFusion",
    "PictureParts",
    "PreActEncoder",
    "PreActResNet18",
    "WideResNet",
)


@pytest.fixture(autouse=True)
def nothing_written(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Memory is NaN until something is written to it."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    yield
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def test_every_expert_is_tried() -> None:
    assert CASES.keys() | ELSEWHERE == set(experts.__all__)


def made(name: str, pictures: Draw) -> tuple[I2M2, dict[str, Tensor], Tensor]:
    """A model of one expert, without dropout, and a batch: inputs by modality, and targets, some unknown."""
    torch.manual_seed(1)
    network, inputs = CASES[name](pictures)
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
        if isinstance(layer, nn.MultiheadAttention):
            layer.dropout = 0.0
    names = [str(at) for at in range(len(inputs))]
    model = I2M2({"one": network}, {"one": tuple(names)}, ProductOfExperts(), SHAPE)
    return model.train(), dict(zip(names, inputs, strict=True)), torch.randint(-1, SHAPE[1], (BATCH, SHAPE[0]))


def steps(name: str, pictures: Draw, training: Training, n_steps: int) -> tuple[list[Tensor], list[float], I2M2]:
    """What the model says before each of some steps of AdamW, the losses, and the model afterwards."""
    model, inputs, target = made(name, pictures)
    settle(model, training, "cpu")
    present = {modality: torch.ones(BATCH, dtype=torch.bool) for modality in inputs}
    how: dict[str, Any] = fused(training, ())
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, **how)
    objective = Objective(MaskedNLL())
    said: list[Tensor] = []
    losses: list[float] = []
    for _ in range(n_steps):
        with bfloat16(training, "cpu"):
            opinions = model(inputs, present)
        loss = objective(opinions, target)
        optimizer.zero_grad()
        loss.backward()
        broken = [
            key for key, one in model.named_parameters() if one.grad is not None and not one.grad.isfinite().all()
        ]
        assert not broken
        optimizer.step()
        said.append(opinions.log_probs.detach())
        losses.append(float(loss.detach()))
    return said, losses, model


@pytest.mark.parametrize("name", CASES)
def test_bf16_says_and_learns_what_float32_does_within_its_precision(name: str) -> None:
    """Log-probabilities within a twentieth of their range (or of 1) before the first step, the losses of three steps within a tenth."""
    (exact, losses, _), (rough, theirs, model) = (steps(name, different, how, 3) for how in (Training(), BF16))
    assert all(one.isfinite().all() for one in rough)
    near = 0.05 * max(1.0, float(exact[0].max() - exact[0].min()))
    torch.testing.assert_close(rough[0], exact[0], atol=near, rtol=0)
    assert theirs == pytest.approx(losses, rel=0.1)
    assert {one.dtype for one in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", OF_PICTURES)
def test_bf16_learns_from_pictures_that_are_all_but_alike(name: str) -> None:
    """What tells them apart is rounded away in part; numbers stay finite, and the loss falls."""
    said, losses, _ = steps(name, all_but_alike, BF16, 4)
    assert all(one.isfinite().all() for one in said)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
@pytest.mark.parametrize(("size", "kernel", "stride"), [(1, 3, 2), (2, 7, 4), (3, 5, 4)])
def test_a_convolution_whose_stride_is_longer_than_its_picture_learns(
    kind: type[Any], size: int, kernel: int, stride: int
) -> None:
    """In bfloat16 a part of its weights' gradient was never written."""
    torch.manual_seed(0)
    layer = kind(8, 16, kernel, stride=stride, padding=kernel // 2)
    model = I2M2({"one": nn.Sequential(layer, nn.Flatten())}, {"one": ("x",)}, ProductOfExperts(), (1, 16))
    image = torch.randn(4, 8, *[size] * (layer.weight.ndim - 2))
    layer(image).square().sum().backward()
    exact, layer.weight.grad = layer.weight.grad, None
    mend_small_convolutions(model)
    with bfloat16(BF16, "cpu"):
        layer(image).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, exact)
    mend_small_convolutions(model)  # of a second stage
    assert layer(image).dtype == torch.float32
    with bfloat16(BF16, "cpu"):
        assert layer(torch.randn(4, 8, *[9] * (layer.weight.ndim - 2))).dtype == torch.bfloat16
