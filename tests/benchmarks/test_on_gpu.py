"""A training step on a GPU beside the bare networks, and each switch of `training` that is for GPUs. `make bench-cuda`.

The bare networks are contiguous, their tensors lie on the GPU already: what channels-last convolutions, pinned batches and fused
optimizers bring or cost is in the ratio.
"""

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.training import Training
from i2m2_med.engine.training.fit import fit
from i2m2_med.experts import PreActResNet18
from i2m2_med.model import I2M2
from i2m2_med.samples.fastmri.transforms import Reconstructd
from i2m2_med.sources.source import Labels
from tests.benchmarks.figures import Figures
from tests.benchmarks.noise import slices

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]

LABELS = Labels(("abnormal", "mtear", "acl", "cartilage"), ("no", "yes"))
SIDE, BATCH, SLICES = 320, 16, 320
READS = {"magnitude": ("magnitude",), "phase": ("phase",), "joint": ("magnitude", "phase")}
SWITCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "fp32": ("fp32", {"precision": "fp32"}),
    "fp16": ("fp16", {"precision": "fp16"}),
    "bf16": ("bf16", {"precision": "bf16"}),
    "compile": ("fp32", {"precision": "fp32", "compile": True}),
    "one_expert": ("fp32", {"precision": "fp32", "memory": "one_expert"}),
    "accumulate": ("fp32", {"precision": "fp32", "accumulate": 2}),
}
"""By figure, the precision of the bare networks beside it, and the settings of `training`."""


def model() -> I2M2:
    torch.manual_seed(0)
    networks = {name: PreActResNet18(channels=len(reads)) for name, reads in READS.items()}
    return I2M2(networks, READS, ProductOfExperts(), (4, 2))


def bare(precision: str) -> float:
    """Seconds of as many steps as an epoch has: forward, backward and AdamW on tensors that lie on the GPU already."""
    network = model().cuda()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    inputs = {name: torch.randn(BATCH, 1, SIDE, SIDE, device="cuda") for name in ("magnitude", "phase")}
    there = {name: torch.ones(BATCH, dtype=torch.bool) for name in inputs}
    scaler = torch.amp.GradScaler("cuda", enabled=precision == "fp16")
    half = torch.bfloat16 if precision == "bf16" else torch.float16

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", half, enabled=precision != "fp32"):
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
    return time.perf_counter() - began


def ours(folder: Path, settings: dict[str, Any]) -> tuple[float, float]:
    """Seconds of an epoch of `fit` (the third, once all is warm) with a validation of one batch; gigabytes at the peak."""
    ends: list[float] = []
    training = Training.model_validate({"epochs": 3, "batch": BATCH, "learning_rate": 1e-4, **settings})
    torch.cuda.reset_peak_memory_stats()
    fit(
        model(), slices(SLICES, SIDE, LABELS), slices(BATCH, SIDE, LABELS), training, seed=0, folder=folder, device="cuda",
        watch=lambda *_: ends.append(time.perf_counter()),
    )  # fmt: skip
    return ends[2] - ends[1], torch.cuda.max_memory_allocated() / 1e9


@pytest.mark.parametrize("name", SWITCHES)
def test_an_epoch_beside_the_bare_networks(name: str, figures: Figures, tmp_path: Path) -> None:
    precision, settings = SWITCHES[name]
    alone = bare(precision)
    mine, held = ours(tmp_path, settings)
    card = f"{torch.cuda.get_device_name()}, {BATCH} slices of {SIDE} × {SIDE} a step, {name}"
    figures.add(name, f"{card}: an epoch of {SLICES}", [mine], f"bare networks in {precision}", [alone], "s", 1.11)
    figures.add(f"{name}_memory", f"{card}: memory", [held], "80 GB", [80.0], "GB")


@pytest.mark.parametrize("coils", [1, 15])
def test_images_of_kspace_beside_a_cpu(coils: int, figures: Figures) -> None:
    """`modalities.device: cuda`: a fastMRI slice (640 × 368) copied to the GPU and made an image, against one CPU thread."""
    torch.set_num_threads(1)
    made = Reconstructd(size=(SIDE, SIDE))
    kspace = torch.randn(coils, 640, 368, dtype=torch.complex64)

    def seconds(device: str) -> float:
        for _ in range(5):
            made.transform(kspace.to(device))
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(20):
            made.transform(kspace.to(device))
        torch.cuda.synchronize()
        return (time.perf_counter() - began) / 20

    card = f"{torch.cuda.get_device_name()}, {coils} coils"
    figures.add(f"kspace_{coils}", f"{card}: a slice", [seconds("cuda")], "one CPU thread", [seconds("cpu")], "s")
