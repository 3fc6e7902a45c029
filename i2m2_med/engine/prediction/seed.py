"""Seeds: the same config, data and seed give the same numbers."""

import hashlib
import os
import random
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from i2m2_med.engine.prediction.torchrun import local_rank, started
from i2m2_med.errors import UserError


def seed_for(*parts: object) -> int:
    """A seed (31 bits) for a named purpose, such as (seed, 'weights', expert) or (seed, 'epoch', 3).

    >>> seed_for(0, "epoch", 1) == seed_for(0, "epoch", 2)
    False
    """
    return int(hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:8], 16) % 2**31


def seed_everything(*parts: object) -> None:
    """Seed torch, NumPy and Python from here on, and keep to deterministic kernels (a warning where a GPU has none)."""
    seed = seed_for(*parts)
    seed_libraries(seed)
    torch.manual_seed(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # every kernel here writes all that it returns: without the fill a tenth of the time is saved
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    torch.backends.cudnn.benchmark = False


def seed_libraries(seed: int) -> None:
    """Seed NumPy and Python, from which MONAI's and third-party transforms and networks draw."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


class Drawn(NamedTuple):
    """How far NumPy's and Python's random numbers are."""

    numpy: Any
    python: Any


def state_of_draws() -> Drawn:
    """Return how far they are now."""
    return Drawn(np.random.get_state(), random.getstate())  # noqa: NPY002  (what third-party networks draw from)


@contextmanager
def draw_again(state: Drawn) -> Generator[None]:
    """Draw NumPy's and Python's random numbers from `state` on meanwhile; those drawn afterwards are as if nothing had been drawn."""
    now = state_of_draws()
    go_on(state)
    try:
        yield
    finally:
        go_on(now)


def go_on(state: Drawn) -> None:
    """Let the next numbers be those after `state`."""
    np.random.set_state(state.numpy)  # noqa: NPY002
    random.setstate(state.python)


@contextmanager
def seeded(seed: int, gpus: Sequence[int] = ()) -> Generator[None]:
    """Seed what is drawn on the CPU, and on these GPUs, meanwhile; those drawn afterwards are as if nothing had been drawn."""
    with torch.random.fork_rng(gpus), draw_again(state_of_draws()):
        seed_libraries(seed)
        # not torch.manual_seed, which keeps a note of each call for every kind of device that is never used
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            torch.cuda.default_generators[gpu].manual_seed(seed)
        yield


def best_device() -> str:
    """`cuda` where there is one, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def device_for(asked: str) -> str:
    """The device of this process: `training.device` is `auto`, `cpu` or `cuda`. Of processes that share a training each has a GPU of
    its own. Raises UserError where there is none."""
    device = best_device() if asked == "auto" else asked
    if device == "cpu":
        return device
    count, own = torch.cuda.device_count(), local_rank()
    if own >= count:
        raise UserError(
            f"training.device: {asked} asks for GPU {own} of this machine, which has {count}; take fewer processes, or "
            "training.device: cpu"
        )
    return f"cuda:{own}" if started() > 1 else device
