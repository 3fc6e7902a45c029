"""Small networks find each kind of evidence where it is, and don't find it where it is not."""

from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from i2m2_med.simulate.knee.anatomy import KNEE
from i2m2_med.simulate.knee.write import simulate

pytestmark = pytest.mark.slow
READS = {"magnitude": [0], "phase": [1], "joint": [0, 1]}
FINDS = {"magnitude": {"magnitude"}, "phase": {"phase"}, "between": {"joint"}}


def images_and_classes(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """(slice, magnitude and phase, 64, 64) images, magnitude scaled per volume, and (slice, label) classes."""
    volumes = []
    for path in sorted(folder.rglob("*.h5")):
        with h5py.File(path) as file:
            shifted = np.fft.ifftshift(file["kspace"][()], axes=(1, 2))
        image = np.fft.fftshift(np.fft.ifft2(shifted), axes=(1, 2))[:, 32:96, 16:80]
        volumes.append(np.stack([np.abs(image) / np.percentile(np.abs(image), 99), np.angle(image)], axis=1))
    truth = pl.read_parquet(folder / "truth.parquet")["class"].to_numpy().reshape(-1, len(KNEE.labels))
    return torch.tensor(np.concatenate(volumes)).float(), torch.tensor(truth).long()


def network(channels: int) -> nn.Module:
    def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(4, outputs), nn.ReLU()]

    stem = [nn.Conv2d(channels, 16, 5, 2, 2), nn.GroupNorm(4, 16), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(32 * 64, len(KNEE.labels))]
    return nn.Sequential(*stem, *block(16, 32, 2), *block(32, 32, 1), *head)


def mean_auroc(train: Path, test: Path, channels: list[int]) -> float:
    """Ten epochs on `train`, mean AUROC of the four labels on `test`."""
    torch.manual_seed(0)
    net = network(len(channels))
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-2)
    images, classes = images_and_classes(train)
    for _ in range(10):
        for rows in torch.randperm(len(images)).split(16):
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(
                net(images[rows][:, channels]), classes[rows].float()
            ).backward()
            optimizer.step()
    images, classes = images_and_classes(test)
    with torch.no_grad():
        logits = net(images[:, channels])
    return float(np.mean([roc_auc_score(classes[:, label], logits[:, label]) for label in range(len(KNEE.labels))]))


@pytest.mark.parametrize("dial", ["magnitude", "phase", "between"])
def test_evidence_is_found_by_who_can_see_it(dial: str, tmp_path: Path):
    dials = {name: float(name == dial) for name in FINDS}
    for name, seed in (("train", 1), ("test", 2)):
        simulate(tmp_path / name, volumes=60, slices=6, matrix="128x96", seed=seed, **dials)
    found = {name: mean_auroc(tmp_path / "train", tmp_path / "test", channels) for name, channels in READS.items()}
    for name, value in found.items():
        if name in FINDS[dial]:
            assert value > 0.8, f"{name} does not find what the dial {dial} writes: {value:.2f}"
        elif name != "joint":
            assert value < 0.58, f"{name} finds what the dial {dial} should hide: {value:.2f}"
    assert found["joint"] > 0.7
