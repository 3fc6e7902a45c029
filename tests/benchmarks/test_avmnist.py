"""AV-MNIST training as the published code does it beside ours, in one run on one thread; and the memory of ours."""

import subprocess
import sys
import time

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

ROWS, BATCH = 800, 40
EXPERTS = {"image": (lambda: LeNet(28), ("image",)), "audio": (lambda: LeNet(112), ("audio",))}
EXPERTS["joint"] = (LateFusion, ("image", "audio"))
PARADIGMS = {"image": ["image"], "audio": ["audio"], "inter": ["joint"], "I2M2": ["image", "audio", "joint"]}


def networks(names: list[str]) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {name: EXPERTS[name][0]() for name in names}


def published_epoch(names: list[str], arrays: dict[str, np.ndarray], labels: np.ndarray) -> float:
    """A list of samples in float64, collated one by one; the product by log-softmax and logsumexp. Seconds per epoch."""
    scaled = {name: array / 255 for name, array in arrays.items()}
    rows = [[scaled["image"][row], scaled["audio"][row], int(labels[row])] for row in range(ROWS)]
    experts = networks(names)
    learnt = [parameter for network in experts.values() for parameter in network.parameters()]
    optimizer = torch.optim.SGD(learnt, lr=0.01, weight_decay=1e-4)
    start = time.process_time()
    for image, audio, label in DataLoader(rows, batch_size=BATCH, shuffle=True):
        given = {"image": image.float(), "audio": audio.float()}
        logits = [net(*(given[modality] for modality in EXPERTS[name][1]))[:, 0] for name, net in experts.items()]
        total = torch.stack([opinion.log_softmax(-1) for opinion in logits]).sum(dim=0)
        optimizer.zero_grad()
        cross_entropy(total - total.logsumexp(-1, keepdim=True), label).backward()
        nn.utils.clip_grad_norm_(learnt, 8)
        optimizer.step()
    return time.process_time() - start


def our_epoch(names: list[str], samples: Samples) -> float:
    """The project's loader, model, loss. Seconds per epoch."""
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


def epoch_of_random_arrays(whose: str, paradigm: str) -> float:
    """`published` or `ours`: the better of two epochs on one thread."""
    torch.set_num_threads(1)
    rng, names = np.random.default_rng(0), PARADIGMS[paradigm]
    arrays = {"image": rng.integers(0, 256, (ROWS, 1, 28, 28), dtype=np.uint8)}
    arrays["audio"] = rng.integers(0, 256, (ROWS, 1, 112, 112), dtype=np.uint8)
    labels = rng.integers(0, 10, ROWS)
    if whose == "published":
        return min(published_epoch(names, arrays, labels) for _ in range(2))
    samples = as_samples(names, arrays, labels)
    return min(our_epoch(names, samples) for _ in range(2))


def in_a_process(script: str, *arguments: object) -> float:
    """The number that a Python script prints, run by itself."""
    command = [
        sys.executable,
        "-c",
        "import sys; sys.path.insert(0, sys.argv[1]); import test_avmnist as bench; " + script,
    ]
    run = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=True)
    return float(run.stdout)


@pytest.mark.benchmark(group="avmnist")
@pytest.mark.parametrize("paradigm", PARADIGMS)
def test_epoch_beside_the_published(paradigm, benchmark, request):
    script, here = "print(bench.epoch_of_random_arrays(sys.argv[2], sys.argv[3]))", request.path.parent
    published = in_a_process(script, here, "published", paradigm)
    ours = benchmark.pedantic(lambda: in_a_process(script, here, "ours", paradigm), rounds=1)
    again = in_a_process(script, here, "published", paradigm)  # before and after: the machine may be busier at times
    published = (published + again) / 2
    to_10_000 = 10_000 / ROWS
    benchmark.extra_info.update(ratio=published / ours)
    print(
        f"\nAV-MNIST {paradigm}: epoch of 10,000 on one core, published {published * to_10_000:.1f} s, "
        f"ours {ours * to_10_000:.1f} s, ratio {published / ours:.2f}"
    )


MEMORY = """
import numpy as np, torch
arrays = {name: np.lib.format.open_memmap(f"{sys.argv[2]}/{name}.npy", mode="w+", dtype=np.uint8, shape=(20_000, 1, side, side))
          for name, side in (("image", 28), ("audio", 112))}
torch.set_num_threads(1)
bench.our_epoch(bench.PARADIGMS["I2M2"], bench.as_samples(bench.PARADIGMS["I2M2"], arrays, np.zeros(20_000, np.int64)[:2000]))
status = dict(line.split(":") for line in open("/proc/self/status"))  # getrusage's maximum starts at that of the parent
print(int(status["VmHWM"].split()[0]) / 1e6)
"""


@pytest.mark.benchmark(group="avmnist")
def test_memory_of_i2m2_training(benchmark, tmp_path, request):
    gigabytes = benchmark.pedantic(lambda: in_a_process(MEMORY, request.path.parent, tmp_path), rounds=1)
    benchmark.extra_info.update(gigabytes=gigabytes)
    print(f"\nAV-MNIST I2M2 training, batch 40, memory-mapped: {gigabytes:.2f} GB at most (published 2.6–5 GB)")
