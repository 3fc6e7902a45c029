"""A small network finds what lies within a volume and between it and a column, on the written files, and nothing that is not there."""

from itertools import pairwise
from pathlib import Path

import nibabel
import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from i2m2_med.simulate.table.ideal import ideal
from i2m2_med.simulate.table.model import MODALITIES, Dials
from i2m2_med.simulate.table.write import simulate

pytestmark = pytest.mark.slow
PATIENTS = 500


def cohort(folder: Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(patient, 1, x, y, z) volumes scaled by their 99th percentile, (patient, mmse and apoe4), and diagnoses."""
    table = pl.read_csv(folder / "cohort.csv")
    volumes = [nibabel.load(folder / path).get_fdata() for path in table["t1_path"]]  # pyright: ignore
    scaled = np.stack([volume / np.percentile(volume, 99) for volume in volumes])[:, None]
    columns = np.stack([(table["mmse"] - 24) / 1.5, 2.0 * (table["apoe4"] == "carrier") - 1], axis=1)
    target = (table["diagnosis"] == "ad").to_numpy()
    return torch.tensor(scaled).float(), torch.tensor(columns).float(), torch.tensor(target).long()


class Joint(nn.Module):
    """Three convolutions, two columns, one hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 4, 8, 16)
        layers = [
            layer
            for before, width in pairwise(widths)
            for layer in (nn.Conv3d(before, width, 3, 2, 1), nn.BatchNorm3d(width), nn.ReLU())
        ]
        self.picture = nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(widths[-1] + 2, 40), nn.ReLU(), nn.Linear(40, 2))

    def forward(self, volume: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.picture(volume), columns], dim=1))


def nats(folder: Path, *, within: float, between: float) -> float:
    """Nats about the diagnosis that a joint network gets out of other patients than it was trained on."""
    for seed, name in enumerate(("train", "test")):
        dials = {"t1": within, "clinical": within, "report": 0.0, "labs": 0.0, "between": between}
        simulate(folder / name, patients=PATIENTS, matrix="16x20x16", missing=0.0, seed=seed, **dials)
    torch.manual_seed(0)
    net, epochs = Joint(), 10
    volumes, columns, target = cohort(folder / "train")
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for rows in torch.randperm(PATIENTS).split(8):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(volumes[rows], columns[rows]), target[rows]).backward()
            optimizer.step()
        scheduler.step()
    volumes, columns, target = cohort(folder / "test")
    with torch.no_grad():
        return float(np.log(2) - nn.functional.cross_entropy(net.eval()(volumes, columns), target))


def ceiling(within: float, between: float) -> dict[str, float]:
    """Nats of the ideal observer of the two modalities, by paradigm."""
    dials = Dials(
        {name: within if name in ("t1", "clinical") else 0.0 for name in MODALITIES}, between, ("t1", "clinical")
    )
    return ideal(0.5, 0.0, dials, seed=0)["nats_variants"][":t1+clinical"]["diagnosis"]


def test_what_lies_between_is_learnt_nearly_whole(tmp_path: Path):
    best = ceiling(0.5, 1.0)
    found = nats(tmp_path, within=0.5, between=1.0)
    assert best["intra"] + 0.1 < 0.8 * best["inter"] < found < best["inter"] + 0.05


def test_what_lies_within_is_learnt_and_no_relation(tmp_path: Path):
    best = ceiling(0.8, 0.0)
    assert best["intra"] == best["inter"]
    found = nats(tmp_path, within=0.8, between=0.0)
    assert 0.6 * best["intra"] < found < best["intra"] + 0.05
