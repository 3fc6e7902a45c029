"""A training step on a GPU beside the bare networks: slices per second of the knee I2M2, ratios in one run. `make bench-cuda`."""

import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.training import Training
from i2m2_med.engine.training.fit import fit
from i2m2_med.experts import PreActResNet18
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]

LABELS = Labels(("abnormal", "mtear", "acl", "cartilage"), ("no", "yes"))
SIDE, BATCH, SLICES = 320, 16, 320
READS = {"magnitude": ("magnitude",), "phase": ("phase",), "joint": ("magnitude", "phase")}


def model() -> I2M2:
    torch.manual_seed(0)
    networks = {name: PreActResNet18(channels=len(reads)) for name, reads in READS.items()}
    return I2M2(networks, READS, ProductOfExperts(), (4, 2))


def slices(count: int) -> Samples:
    """Noise in the shape of knee slices."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(count, 1, SIDE, SIDE)).astype(np.float32) for name in ("magnitude", "phase")}
    labels = {f"label_{name}": rng.integers(0, 2, count) for name in LABELS.names}
    return Samples(pl.DataFrame(labels), LABELS, ["magnitude", "phase"], arrays)


def bare(amp: bool) -> float:
    """Slices per second of forward, backward and AdamW on tensors that lie on the GPU already."""
    network = model().cuda()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    inputs = {name: torch.randn(BATCH, 1, SIDE, SIDE, device="cuda") for name in ("magnitude", "phase")}
    there = {name: torch.ones(BATCH, dtype=torch.bool, device="cuda") for name in inputs}
    scaler = torch.amp.GradScaler("cuda", enabled=amp)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", enabled=amp):
            loss = -network(inputs, there).log_probs[..., 0].mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    for _ in range(5):
        step()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(SLICES // BATCH):
        step()
    torch.cuda.synchronize()
    return SLICES / (time.perf_counter() - began)


def ours(folder: Path, amp: bool) -> float:
    """Slices per second of an epoch of `fit` (the second one), without its validation of a few slices."""
    ends: list[float] = []
    training = Training(epochs=3, batch=BATCH, learning_rate=1e-4, precision="fp16" if amp else "fp32")
    few = slices(BATCH)
    fit(
        model(), slices(SLICES), few, training, seed=0, folder=folder, device="cuda",
        watch=lambda *_: ends.append(time.perf_counter()),
    )  # fmt: skip
    return SLICES / (ends[2] - ends[1])


def test_a_step_beside_the_bare_networks(tmp_path: Path) -> None:
    print(f"\n{torch.cuda.get_device_name()}, torch {torch.__version__}, {BATCH} slices of {SIDE} x {SIDE} a step")
    for amp in (False, True):
        alone, mine = bare(amp), ours(tmp_path / str(amp), amp)
        memory = torch.cuda.max_memory_allocated() / 2**30
        print(
            f"  {'mixed precision' if amp else 'float32':<16} bare {alone:7.1f}/s  fit {mine:7.1f}/s  ratio {mine / alone:.2f}"
            f"  peak {memory:.1f} GiB"
        )
        assert mine > 0
