"""How much a model folder's config may build: no more than its weights fill. `in_features: 65536` twice is 17 GB in 30 bytes."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from i2m2_med.memory_limit import memory_within

FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)
"""Functions that torch's and MONAI's layers make their tensors with."""

SPARE = 1_000_000
"""Values beside the weights, such as tables of positions that are not saved."""

WORKING = 2 << 30
"""Bytes beside the weights that building a network may take: tables of NumPy's, torch.eye and the like stop there."""

LONGEST_HEADER = 4 << 20
"""Bytes of a safetensors header: 40,000 tensors and more."""


def check_header(weights: Path) -> None:
    """Raise ValueError for a file of weights that names more tensors than any network has: they would be made one by one."""
    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"its header is longer than {LONGEST_HEADER >> 20} MiB")


class Allotment(TorchFunctionMode):
    """While it is entered, tensors are made until they hold more values than the file of weights has bytes; then RuntimeError."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        size = weights.stat().st_size
        self.left = size + SPARE
        self.memory = memory_within(4 * size + WORKING)

    def __enter__(self) -> "Allotment":
        self.memory.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.memory.__exit__(*error)

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Count what is asked for before it is made."""
        if func in FACTORIES:
            self.left -= values_of(args, kwargs or {})
            if self.left < 0:
                raise RuntimeError("the config asks for a larger network than the weights are of")
        return func(*args, **(kwargs or {}))


def values_of(args: Sequence[Any], kwargs: dict[str, Any]) -> int:
    """Return how many values a factory is asked for, by its arguments.

    >>> values_of((3, 4), {}), values_of(([3, 4], 0.5), {}), values_of((), {"size": (3, 4)})
    (12, 12, 12)
    """
    size = kwargs.get("size", args[0] if args and isinstance(args[0], list | tuple) else args)
    return math.prod(int(side) for side in size)
