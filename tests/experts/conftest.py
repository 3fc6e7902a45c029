"""The closed formula that fills parameters and inputs of the golden cases (tests/experts/golden)."""

import json
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

GOLDEN = Path(__file__).parent / "golden"
NORMS = (nn.GroupNorm, nn.BatchNorm2d)


@pytest.fixture
def golden() -> Callable[[str], dict]:
    """The golden case of a name, as its file holds it."""
    return lambda name: json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def closed_form() -> Callable[..., np.ndarray]:
    """(name, shape) → float64 values in [-1, 1): a 64-bit mix of the name's CRC-32 and the element's index."""
    return _values


@pytest.fixture
def filled() -> Callable[..., nn.Module]:
    """(network, prefix) → the network in eval mode, with the golden parameters of its published names under that prefix."""
    return _fill


@torch.no_grad()
def _fill(network: nn.Module, prefix: str) -> nn.Module:
    owners = dict(network.named_modules())
    names = network.published_names()
    for ours, tensor in network.state_dict().items():
        owner, _, leaf = ours.rpartition(".")
        tensor.copy_(_parameter(prefix + names[ours], leaf, tensor, isinstance(owners[owner], NORMS)))
    return network.eval()


def _parameter(published: str, leaf: str, tensor: Tensor, is_norm: bool) -> Tensor:
    if leaf == "num_batches_tracked":
        return torch.zeros_like(tensor)
    values = _values(published, tensor.shape)
    if leaf == "running_var":
        values = 1 + 0.25 * values
    elif is_norm and leaf == "weight":
        values = 1 + 0.1 * values
    elif tensor.dim() == 1:
        values = 0.1 * values
    else:
        gain = 2 if tensor.dim() == 4 else 1
        values = values * math.sqrt(3 * gain / math.prod(tensor.shape[1:]))
    return torch.from_numpy(values.astype(np.float32))


def _values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.uint64
    with np.errstate(over="ignore"):
        state = np.arange(1, math.prod(shape) + 1, dtype=mask) * mask(0x9E3779B97F4A7C15)
        state += mask(zlib.crc32(name.encode())) * mask(0xD1B54A32D192ED03)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state = (state ^ (state >> mask(shift))) * mask(factor)
        state ^= state >> mask(31)
    return (2 * ((state >> mask(40)) / 2.0**24) - 1).reshape(shape)
