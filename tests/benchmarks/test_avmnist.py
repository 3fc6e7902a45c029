"""AV-MNIST training as the published code does it beside ours, on one thread; and the memory of ours, in a process of its own."""

import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.engine.prediction.loading import loader
from i2m2_med.engine.training.loss import MaskedNLL, Objective
from i2m2_med.experts import LateFusion, LeNet
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels
from tests.benchmarks.costs import PEAK, apart
from tests.benchmarks.figures import Figures

ROWS, BATCH, EPOCH = 400, 40, 10_000
EXPERTS = {"image": (lambda: LeNet(28), ("image",)), "audio": (lambda: LeNet(112), ("audio",))}
EXPERTS["joint"] = (LateFusion, ("image", "audio"))
PARADIGMS = {"image": ["image"], "audio": ["audio"], "inter": ["joint"], "I2M2": ["image", "audio", "joint"]}


def networks(names: list[str]) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {name: EXPERTS[name][0]() for name in names}


def published_epoch(names: list[str], arrays: dict[str, np.ndarray], labels: np.ndarray) -> float:
    """A list of samples in float64, collated one by one; the product by log-softmax and logsumexp. CPU seconds per epoch."""
    scaled = {name: array / 255 for name, array in arrays.items()}
    rows = [[scaled["image"][row], scaled["audio"][row], int(labels[row])] for row in range(ROWS)]
    experts = networks(names)
    learnt = [parameter for network in experts.values() for parameter in network.parameters()]
    optimizer = torch.optim.SGD(learnt, lr=0.01, weight_decay=1e-4)
    start = time.process_time()
    for image, audio, label in DataLoader(rows, batch_size=BATCH, shuffle=True):  # type: ignore[arg-type]
        given = {"image": image.float(), "audio": audio.float()}
        logits = [net(*(given[modality] for modality in EXPERTS[name][1]))[:, 0] for name, net in experts.items()]
        total = torch.stack([opinion.log_softmax(-1) for opinion in logits]).sum(dim=0)
        optimizer.zero_grad()
        cross_entropy(total - total.logsumexp(-1, keepdim=True), label).backward()
        nn.utils.clip_grad_norm_(learnt, 8)
        optimizer.step()
    return time.process_time() - start


def our_epoch(names: list[str], samples: Samples) -> float:
    """The project's loader, model, loss. CPU seconds per epoch."""
    model = I2M2(networks(names), {name: EXPERTS[name][1] for name in names}, ProductOfExperts(), (1, 10))
    learnt = list(model.parameters())
    optimizer = torch.optim.SGD(learnt, lr=0.01, weight_decay=1e-4)
    loss = Objective(MaskedNLL())
    start = time.process_time()
    for batch in loader(samples, BATCH, seed=0):
        optimizer.zero_grad()
        loss(model(batch.inputs, batch.present), batch.target).backward()
        nn.utils.clip_grad_norm_(learnt, 8)
        optimizer.step()
    return time.process_time() - start


def as_samples(names: list[str], arrays: dict[str, np.ndarray], labels: np.ndarray) -> Samples:
    records = pl.DataFrame({"label_digit": labels})
    read = tuple({modality for name in names for modality in EXPERTS[name][1]})
    return Samples(records, Labels(("digit",), tuple("0123456789")), read, arrays)


def epochs_of_random_arrays(paradigm: str, repeats: int) -> list[list[float]]:
    """Seconds of 10,000 rows, scaled from fewer, of the published loop and of ours in turns; each warmed up by one epoch."""
    torch.set_num_threads(1)
    rng, names = np.random.default_rng(0), PARADIGMS[paradigm]
    arrays = {"image": rng.integers(0, 256, (ROWS, 1, 28, 28), dtype=np.uint8)}
    arrays["audio"] = rng.integers(0, 256, (ROWS, 1, 112, 112), dtype=np.uint8)
    labels = rng.integers(0, 10, ROWS)
    samples = as_samples(names, arrays, labels)
    ways = (lambda: published_epoch(names, arrays, labels), lambda: our_epoch(names, samples))
    scaled = EPOCH / ROWS
    return [[scaled * way() for way in ways] for _ in range(repeats + 1)][1:]


@pytest.mark.parametrize("paradigm", PARADIGMS)
def test_epoch_beside_the_published(paradigm: str, figures: Figures) -> None:
    published, ours = zip(*epochs_of_random_arrays(paradigm, 1 if figures.once else 2), strict=True)
    what = f"AV-MNIST {paradigm}: an epoch of 10,000 at batch 40"
    figures.add(paradigm.lower(), what, ours, "the published loop", published, "CPU s")


MEMORY = f"""
import sys
import numpy as np, torch
from tests.benchmarks import test_avmnist as bench
arrays = {{name: np.lib.format.open_memmap(f"{{sys.argv[1]}}/{{name}}.npy", mode="w+", dtype=np.uint8, shape=(20_000, 1, side, side))
           for name, side in (("image", 28), ("audio", 112))}}
torch.set_num_threads(1)
bench.our_epoch(bench.PARADIGMS["I2M2"], bench.as_samples(bench.PARADIGMS["I2M2"], arrays, np.zeros(20_000, np.int64)[:1000]))
print({PEAK})
"""


def test_memory_of_i2m2_training(figures: Figures, tmp_path: Path) -> None:
    what = "AV-MNIST I2M2: memory of training at batch 40, arrays on disk"
    figures.add("memory", what, [apart(MEMORY, tmp_path)], "the least that was published (2.6 to 5)", [2.6], "GB", 1.0)
