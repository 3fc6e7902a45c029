"""What a GPU computes is what a CPU computes, to stated tolerances: experts, combiners, training, resume, prediction."""

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from i2m2_med import combiners
from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.training import Training
from i2m2_med.engine.prediction.predict import run_model
from i2m2_med.engine.prediction.seed import seed_everything
from i2m2_med.engine.training.fit import fit
from i2m2_med.engine.training.step import drawing
from i2m2_med.experts import (
    GRUD,
    LateFusion,
    LeNet,
    LowRankFusion,
    NotesAttention,
    PreActResNet18,
    SeriesGRU,
    SeriesTransformer,
    StaticMLP,
    StaticSeriesJoint,
    WideResNet,
)
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.fastmri.transforms import Reconstructd
from i2m2_med.samples.phase import PhaseOption, magnitude_of, phase_channels
from i2m2_med.sources.source import Labels

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.filterwarnings("default"),  # kernels without a deterministic form warn
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]

IMAGE, DIGIT, SOUND, SERIES, STATIC = (3, 1, 64, 64), (3, 1, 28, 28), (3, 1, 112, 112), (7, 24, 12), (7, 5)
EXPERTS: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "PreActResNet18": (lambda: PreActResNet18(channels=2), (IMAGE, IMAGE)),
    "WideResNet": (lambda: WideResNet(channels=1), (IMAGE,)),
    "LeNet": (lambda: LeNet(size=28), (DIGIT,)),
    "LateFusion": (LateFusion, (DIGIT, SOUND)),
    "LowRankFusion": (LowRankFusion, (DIGIT, SOUND)),
    "StaticMLP": (lambda: StaticMLP(classes=6), (STATIC,)),
    "SeriesGRU": (lambda: SeriesGRU(classes=6), (SERIES,)),
    "StaticSeriesJoint": (lambda: StaticSeriesJoint(classes=6), (STATIC, SERIES)),
    "SeriesTransformer": (lambda: SeriesTransformer(dropout=0.0), ((7, 24, 36),)),
    "GRUD": (GRUD, ((7, 24, 36),)),
}
"""By class: how the tests make it, and the shapes of what it reads."""


def read_by(name: str) -> tuple[nn.Module, list[Tensor]]:
    """An expert with seeded weights, and seeded inputs."""
    make, shapes = EXPERTS[name]
    seed_everything("on_gpu", name)
    return make(), [torch.rand(shape) for shape in shapes]


@pytest.fixture(autouse=True)
def full_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TF32, whose ten bits of mantissa would hide a real difference."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize("name", sorted(EXPERTS))
def test_an_expert_answers_and_learns_as_on_a_cpu(name: str) -> None:
    network, inputs = read_by(name)
    network.train()
    said, slopes = {}, {}
    for device in ("cpu", "cuda"):
        network = network.to(device)
        network.zero_grad(set_to_none=True)
        logits = network(*(tensor.to(device) for tensor in inputs))
        logits.log_softmax(-1)[..., 0].sum().backward()
        said[device] = logits.detach().cpu()
        slopes[device] = {  # copies: a gradient moves with its module
            key: one.grad.cpu().clone() for key, one in network.named_parameters() if one.grad is not None
        }
    torch.testing.assert_close(said["cuda"], said["cpu"], atol=2e-3, rtol=1e-3)
    assert slopes["cuda"].keys() == slopes["cpu"].keys()
    for key, slope in slopes["cpu"].items():
        off = (slopes["cuda"][key] - slope).norm() / slope.norm().clamp_min(1e-3)
        assert off < 1e-2, f"{key}: relative error of the gradient {off:.1e}"


def test_notes_are_read_as_on_a_cpu() -> None:
    seed_everything("on_gpu", "notes")
    network = NotesAttention(vocabulary=100, dropout=0.0).eval()
    tokens = torch.randint(1, 100, (5, 3, 20), dtype=torch.int32)
    tokens[1, 2:] = 0
    torch.testing.assert_close(network.cuda()(tokens.cuda()).cpu(), network.cpu()(tokens), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", sorted(combiners.__all__))
def test_a_combiner_combines_as_on_a_cpu(name: str) -> None:
    seed_everything("on_gpu", name)
    cls = getattr(combiners, name)
    sizes = {"experts": 3, "labels": 2, "classes": 4}
    takes = {key: value for key, value in sizes.items() if key in inspect.signature(cls).parameters}
    combiner = cls(**takes)
    log_probs = torch.randn(3, 6, 2, 4).log_softmax(-1)
    present = torch.tensor([[1, 1, 1, 0, 1, 1], [1, 0, 1, 1, 0, 1], [1, 1, 0, 0, 0, 1]]).bool()
    log_probs[~present] = -torch.inf
    here = combiner(log_probs, present)
    there = combiner.cuda()(log_probs.cuda(), present.cuda()).cpu()
    torch.testing.assert_close(there, here, atol=1e-5, rtol=1e-5)


def toy(n: int, seed: int) -> Samples:
    """Two modalities, the second missing in every fifth row; the first tells the label."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    a = (rng.normal(size=(n, 3)) + label[:, None]).astype(np.float32)
    b = rng.normal(size=(n, 2)).astype(np.float32)
    b[::5] = np.nan
    return Samples(pl.DataFrame({"label_sick": label}), Labels(("sick",), ("no", "yes")), ["a", "b"], {"a": a, "b": b})


class Joint(nn.Module):
    """A linear reader of both modalities."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(batch, 3), (batch, 2) → (batch, 2)."""
        return self.net(torch.cat([a, b], dim=1))


def fitted(folder: Path, device: str, epochs: int = 4, **settings: object) -> tuple[I2M2, list[dict[str, float]]]:
    """A small I2M2 after `epochs`, with its history."""
    seed_everything("on_gpu", "toy")
    networks = {"a": nn.Linear(3, 2), "b": nn.Linear(2, 2), "joint": Joint()}
    model = I2M2(networks, {"a": ("a",), "b": ("b",), "joint": ("a", "b")}, ProductOfExperts(), (1, 2))
    training = Training(epochs=epochs, batch=16, learning_rate=0.01, **{"precision": "fp32", **settings})
    history = fit(
        model, toy(200, 0), toy(90, 1), training, seed=3, folder=folder, device=device, watch=lambda *_: None
    ).history
    return model, history


def test_training_goes_as_on_a_cpu(tmp_path: Path) -> None:
    histories = [fitted(tmp_path / device, device)[1] for device in ("cpu", "cuda")]
    for here, there in zip(*histories, strict=True):
        assert there == pytest.approx(here, rel=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_the_same_thing(tmp_path: Path, precision: str) -> None:
    exact, mixed = (fitted(tmp_path / kind, "cuda", precision=kind)[1][-1] for kind in ("fp32", precision))
    assert mixed["valid_nll"] == pytest.approx(exact["valid_nll"], rel=0.05)


@pytest.mark.parametrize("settings", [{"memory": "one_expert"}, {"accumulate": 2}])
def test_one_expert_at_a_time_learns_what_all_at_once_do(tmp_path: Path, settings: dict[str, object]) -> None:
    whole, _ = fitted(tmp_path / "whole", "cuda")
    parts, _ = fitted(tmp_path / "parts", "cuda", **settings)
    torch.testing.assert_close(parts.state_dict(), whole.state_dict(), atol=1e-5, rtol=1e-4)


def test_what_is_drawn_with_a_seed_leaves_what_comes_after() -> None:
    device = "cuda"
    torch.manual_seed(1)
    expected = torch.rand(3, device=device)
    torch.manual_seed(1)
    drawn: list[Tensor] = []
    for _ in range(2):
        with drawing(7):
            drawn.append(torch.rand(3, device=device))
    assert torch.equal(*drawn)
    assert torch.equal(torch.rand(3, device=device), expected)


def test_a_resumed_training_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole, _ = fitted(tmp_path / "whole", "cuda")
    fitted(tmp_path / "parts", "cuda", epochs=2)
    resumed, _ = fitted(tmp_path / "parts", "cuda")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_twice_the_same_training_is_the_same_to_the_bit(tmp_path: Path) -> None:
    first, second = (fitted(tmp_path / str(turn), "cuda")[0].state_dict() for turn in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_predictions_are_those_of_a_cpu(tmp_path: Path) -> None:
    model, _ = fitted(tmp_path, "cpu")
    samples = toy(53, 5)
    here, there = run_model(model, samples, 10, "cpu"), run_model(model, samples, 10, "cuda")
    torch.testing.assert_close(there.log_probs, here.log_probs, atol=1e-5, rtol=1e-5)
    assert torch.equal(there.present, here.present)


@pytest.mark.parametrize("coils", [1, 4])
@pytest.mark.parametrize("step", [(1.0, 1.0), (1.0, 1.3)])
@pytest.mark.parametrize("phase", ["raw", "referenced", "cos_sin"])
def test_an_image_is_made_of_kspace_as_on_a_cpu(coils: int, step: tuple[float, float], phase: PhaseOption) -> None:
    """`modalities.device: cuda`. Where the magnitude is next to nothing the phase may be anything."""
    drawn = torch.Generator().manual_seed(coils)
    kspace = torch.complex(*(torch.randn(coils, 64, 46, generator=drawn) for _ in range(2)))
    here = Reconstructd(size=(32, 32)).transform(kspace, step)
    there = Reconstructd(size=(32, 32)).transform(kspace.cuda(), step)
    torch.testing.assert_close(there.cpu(), here, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(magnitude_of(there).cpu(), magnitude_of(here), atol=1e-4, rtol=1e-4)
    off = (phase_channels(there, phase).cpu() - phase_channels(here, phase)).abs() * magnitude_of(here)
    assert float(torch.minimum(off, (off - 2 * torch.pi * magnitude_of(here)).abs()).max()) < 1e-2
