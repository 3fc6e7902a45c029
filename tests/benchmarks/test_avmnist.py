"""AV-MNIST training as the published code does it beside ours, in one run on one thread; and the memory of ours."""

import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, max_pool2d
from torch.utils.data import DataLoader

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.engine.loading import loader
from i2m2_med.engine.loss import MaskedNLL
from i2m2_med.experts import LateFusion, LeNet
from i2m2_med.experts.lenet import LeNetEncoder
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

ROWS, BATCH = 800, 40
EXPERTS = {"image": (lambda: LeNet(28), ("image",)), "audio": (lambda: LeNet(112), ("audio",))}
EXPERTS["joint"] = (LateFusion, ("image", "audio"))
PARADIGMS = {"image": ["image"], "audio": ["audio"], "inter": ["joint"], "I2M2": ["image", "audio", "joint"]}


def published_encoder(self: LeNetEncoder, image: Tensor) -> Tensor:
    """conv → BatchNorm → ReLU → max-pool, block after block, as the published code runs it."""
    for conv, norm in zip(self.convs, self.bns, strict=True):
        image = max_pool2d(norm(conv(image)).relu(), 2)
    return image.flatten(1)


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
        said = [net(*(given[modality] for modality in EXPERTS[name][1]))[:, 0] for name, net in experts.items()]
        total = torch.stack([logits.log_softmax(-1) for logits in said]).sum(dim=0)
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
    loss = MaskedNLL()
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


@pytest.mark.benchmark(group="avmnist")
@pytest.mark.parametrize("paradigm", PARADIGMS)
def test_epoch_beside_the_published(paradigm, benchmark, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {"image": rng.integers(0, 256, (ROWS, 1, 28, 28), dtype=np.uint8)}
    arrays["audio"] = rng.integers(0, 256, (ROWS, 1, 112, 112), dtype=np.uint8)
    labels, names = rng.integers(0, 10, ROWS), PARADIGMS[paradigm]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    samples = as_samples(names, arrays, labels)
    ours = benchmark.pedantic(lambda: min(our_epoch(names, samples) for _ in range(2)), rounds=1)
    with monkeypatch.context() as patch:
        patch.setattr(LeNetEncoder, "forward", published_encoder)
        published = min(published_epoch(names, arrays, labels) for _ in range(2))
    torch.set_num_threads(threads)
    to_10_000 = 10_000 / ROWS
    benchmark.extra_info.update(ratio=published / ours)
    print(
        f"\nAV-MNIST {paradigm}: epoch of 10,000 on one core, published {published * to_10_000:.1f} s, "
        f"ours {ours * to_10_000:.1f} s, ratio {published / ours:.2f}"
    )


MEMORY = """
import sys
import numpy as np, torch
sys.path.insert(0, sys.argv[1])
import test_avmnist as bench
arrays = {name: np.lib.format.open_memmap(f"{sys.argv[2]}/{name}.npy", mode="w+", dtype=np.uint8, shape=(20_000, 1, side, side))
          for name, side in (("image", 28), ("audio", 112))}
torch.set_num_threads(1)
bench.our_epoch(bench.PARADIGMS["I2M2"], bench.as_samples(bench.PARADIGMS["I2M2"], arrays, np.zeros(20_000, np.int64)[:2000]))
status = dict(line.split(":") for line in open("/proc/self/status"))  # getrusage's maximum starts at that of the parent
print(int(status["VmHWM"].split()[0]) / 1e6)
"""


@pytest.mark.benchmark(group="avmnist")
def test_memory_of_i2m2_training(benchmark, tmp_path, request):
    command = [sys.executable, "-c", MEMORY, str(request.path.parent), str(tmp_path)]
    run = benchmark.pedantic(lambda: subprocess.run(command, capture_output=True, text=True, check=True), rounds=1)
    gigabytes = float(run.stdout)
    benchmark.extra_info.update(gigabytes=gigabytes)
    print(f"\nAV-MNIST I2M2 training, batch 40, memory-mapped: {gigabytes:.2f} GB at most (published 2.6–5 GB)")
