"""What training costs beside its bare networks: a step, experts one to six, and each switch of `training` that a CPU can show."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import nll_loss

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.training import Training
from i2m2_med.engine.training.fit import fit
from i2m2_med.experts import PreActResNet18
from i2m2_med.model import I2M2
from i2m2_med.sources.source import Labels
from tests.benchmarks.figures import Figures
from tests.benchmarks.noise import slices
from tests.engine.training.test_memory import ONE_EXPERT, PARTS, WHOLE, large, peak

LABELS = Labels(("abnormal", "acl"), ("no", "yes"))
READS = {"magnitude": ("magnitude",), "phase": ("phase",), "joint": ("magnitude", "phase")}
SIDE, BATCH, STEPS = 64, 16, 12
"""As in `knee_demo`."""


def model(n_experts: int = 3) -> I2M2:
    """`knee_demo`'s experts; more of them read the first modality."""
    torch.manual_seed(0)
    reads = READS if n_experts == 3 else {f"e{at}": ("magnitude",) for at in range(n_experts)}
    networks = {
        name: PreActResNet18(channels=len(read), labels=2, stem="strided", width=16, pool=2)
        for name, read in reads.items()
    }
    return I2M2(networks, reads, ProductOfExperts(), (2, 2))


def clocks() -> np.ndarray:
    """CPU seconds of this process, and the clock."""
    return np.array([time.process_time(), time.perf_counter()])


def bare(network: I2M2, steps: int = STEPS) -> np.ndarray:
    """CPU seconds, and seconds, of an epoch of forward, backward and AdamW on tensors that are there, with nothing around it."""
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    inputs = {name: torch.randn(BATCH, 1, SIDE, SIDE) for name in ("magnitude", "phase")}
    target = torch.randint(0, 2, (BATCH, 2))
    began = clocks()
    for _ in range(steps):
        optimizer.zero_grad()
        opinions = [
            expert(*(inputs[name] for name in network.reads[at])).log_softmax(-1)
            for at, expert in network.experts.items()
        ]
        log_probs = torch.stack(opinions).sum(dim=0).log_softmax(-1)
        nll_loss(log_probs.flatten(0, 1), target.flatten()).backward()
        optimizer.step()
    return clocks() - began


def epochs(
    network: I2M2, folder: Path, n_epochs: int = 2, steps: int = STEPS, side: int = SIDE, **settings: Any
) -> np.ndarray:
    """CPU seconds, and seconds, of each epoch of `fit` but the first: steps, a validation of one batch, and the checkpoint.

    (epoch, clock).
    """
    ends: list[np.ndarray] = []
    training = Training.model_validate({"epochs": n_epochs, "batch": BATCH, "learning_rate": 1e-4, **settings})
    samples = slices(steps * BATCH, side, LABELS)
    fit(
        network, samples, samples.take(np.arange(BATCH)), training, seed=0, folder=folder, device="cpu",
        watch=lambda *_: ends.append(clocks()),
    )  # fmt: skip
    return np.diff(ends, axis=0)


def epoch(network: I2M2, folder: Path, n_epochs: int = 2, steps: int = STEPS, **settings: Any) -> np.ndarray:
    """CPU seconds, and seconds, of the last of these."""
    return epochs(network, folder, n_epochs, steps, **settings)[-1]


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    """Fresh ones, so that no training takes another one up."""
    torch.set_num_threads(1)
    return (tmp_path / str(number) for number in itertools.count())


@pytest.mark.quick
def test_an_epoch_beside_its_bare_networks(figures: Figures, folders: Iterator[Path]) -> None:
    bare(model())  # what torch does once
    steps = 4 * STEPS
    pairs = [
        (bare(model(), steps), epoch(model(), next(folders), steps=steps)) for _ in range(1 if figures.once else 3)
    ]
    what = f"I2M2, knee_demo's networks on arrays: an epoch of {steps} steps of {BATCH} slices"
    for at, (name, unit) in enumerate((("epoch", "CPU s"), ("epoch_wall", "s"))):
        alone, ours = zip(*((bare_cost[at], cost[at]) for bare_cost, cost in pairs), strict=True)
        figures.add(name, what, ours, "the bare networks' steps", alone, unit, 1.11)


def test_experts_cost_what_one_costs_each(figures: Figures, folders: Iterator[Path]) -> None:
    sizes = [*range(1, 7)]
    n_epochs = 2 if figures.once else 3
    costs = np.array([epochs(model(n), next(folders), n_epochs)[:, 0] for n in sizes]).T.tolist()
    figures.exponent("experts", "experts: CPU time of an epoch", sizes, costs, at_most=1.05)


@pytest.mark.quick
def test_memory_of_one_expert_at_a_time(figures: Figures) -> None:
    largest = peak(large(1), WHOLE) / 1e6
    for name, how, said in (
        ("all", WHOLE, "memory: all"),
        ("one", ONE_EXPERT, "memory: one_expert"),
        ("parts", PARTS, "accumulate: 3"),
    ):
        aim = 1.15 if how is ONE_EXPERT else None
        what = f"`{said}`: activations and gradients of six experts"
        figures.add(f"memory_{name}", what, [peak(large(6), how) / 1e6], "of one expert", [largest], "MB", aim)
    held = [peak(large(n), ONE_EXPERT) for n in range(1, 7)]
    figures.add(
        "memory_flat",
        "`memory: one_expert`: one to six experts, the most",
        [max(held) / 1e6],
        "one",
        [largest],
        "MB",
        1.15,
    )


@pytest.mark.parametrize(
    ("name", "settings", "aim"),
    [
        ("one_expert", {"memory": "one_expert"}, 1.4),
        ("accumulate", {"accumulate": 2}, None),
        ("clip", {"clip": 1.0}, None),
    ],
)
def test_a_switch_beside_training_without_it(
    name: str, settings: dict[str, Any], aim: float | None, figures: Figures, folders: Iterator[Path]
) -> None:
    said = ", ".join(f"{key}: {value}" for key, value in settings.items())
    figures.beside(
        f"switch_{name}", f"`{said}`: an epoch of three experts",
        lambda: epoch(model(), next(folders), **settings)[0],
        "without", lambda: epoch(model(), next(folders))[0], repeats=2 if aim is None else 4, at_most=aim,
    )  # fmt: skip


def test_channels_last_on_a_cpu(figures: Figures) -> None:
    """What a GPU always has; a CPU is left as it is."""
    torch.set_num_threads(1)
    figures.beside(
        "switch_channels_last", "channels-last convolutions: bare steps",
        lambda: bare(model().to(memory_format=torch.channels_last))[0], "as they come", lambda: bare(model())[0],
    )  # fmt: skip
