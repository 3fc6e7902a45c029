"""Bound on the size of a sample: what a transform would make is judged before it is made. `spatial_size: [16384, 16384, 16384]` is
18 TB in 40 bytes, whoever wrote it.

MONAI's spatial transforms work out their result's shape lazily, without the result; those that can't are counted by their arguments.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy, deepcopy
from typing import Any

import numpy as np
import torch

from i2m2_med.errors import SourceError

LARGEST = 2**27
"""Values of a sample, all its arrays together: 512 × 512 × 512, 0.5 GiB in float32."""

Block = Mapping[str, Any]
Shape = Sequence[int]
Record = dict[str, Any]

KEEPERS = ("Flip", "Rotate90", "Orientation", "SpatialCrop", "CenterSpatialCrop", "CenterScaleCrop")
"""Beginnings of MONAI's names, without `Rand`, of lazy transforms that make nothing larger."""


def times(argument: str, default: int = 1) -> Callable[[Block, Shape], int]:
    """The growth of a transform that makes so many copies as an argument says."""
    return lambda block, shape: math.prod(shape) * most(block.get(argument, default))


def window(argument: str, default: int, side: Callable[[int], int]) -> Callable[[Block, Shape], int]:
    """The growth of a filter that lays out the window around every value; side: of the window, by the argument."""
    return lambda block, shape: math.prod(shape) * side(most(block.get(argument, default))) ** (len(shape) - 1)


def smoothed(*arguments: str, default: float = 3.0) -> Callable[[Block, Shape], int]:
    """The growth of a Gaussian filter, whose kernel has 8 σ + 1 values: what MONAI's takes was measured, 2 to 6 times its half of that."""
    return lambda block, shape: math.prod(shape) * taps(block, arguments, default) // 2


def taps(block: Block, arguments: Sequence[str], default: float) -> int:
    """The values of the longest Gaussian kernel that arguments ask for."""
    return 8 * math.ceil(max(float(value) for name in arguments for value in each(block.get(name, default)))) + 1


def field(*arguments: str, sigmas: Sequence[str] = ()) -> Callable[[Block, Shape], int]:
    """The growth of a transform that makes a field (of shifts or factors) of given sizes, one value per axis, beside the image.

    sigmas: arguments that say how the field is smoothed.
    """

    def size(block: Block, shape: Shape) -> int:
        axes = max(1, len(shape) - 1)
        asked = [volume(block.get(argument), shape[1:]) for argument in arguments]
        values = math.prod(shape[:1]) * axes * max([math.prod(shape[1:]), *asked])
        return values * max(1, taps(block, sigmas, 0.0) // 2) if sigmas else values

    return size


GROWTH: dict[str, Callable[[Block, Shape], int]] = {
    "RepeatChanneld": times("repeats"),
    "CopyItemsd": lambda block, shape: math.prod(shape) * (1 + most(block.get("times", 1))),
    "AsDiscreted": times("to_onehot"),
    "AddCoordinateChannelsd": lambda block, shape: math.prod(shape[1:]) * (shape[0] + len(each(block["spatial_dims"]))),
    "SobelGradientsd": lambda block, shape: math.prod(shape) * max(len(shape), len(each(block.get("spatial_axes")))),
    "ConvertToMultiChannelBasedOnBratsClassesd": lambda _, shape: math.prod(shape) * 3,
    "MedianSmoothd": window("radius", 1, lambda radius: 2 * radius + 1),
    "ImageFilterd": window("kernel_size", 3, int),
    "RandImageFilterd": window("kernel_size", 3, int),
    "Rand2DElasticd": field("spatial_size"),
    "Rand3DElasticd": field("spatial_size", sigmas=("sigma_range",)),
    "GaussianSmoothd": smoothed("sigma"),
    "RandGaussianSmoothd": smoothed("sigma_x", "sigma_y", "sigma_z"),
    "GaussianSharpend": smoothed("sigma1", "sigma2"),
    "RandGaussianSharpend": smoothed("sigma1_x", "sigma1_y", "sigma1_z", "sigma2_x", "sigma2_y", "sigma2_z"),
    "RandSmoothFieldAdjustContrastd": field("spatial_size", "rand_size"),
    "RandSmoothFieldAdjustIntensityd": field("spatial_size", "rand_size"),
    "RandSmoothDeformd": field("spatial_size", "rand_size"),
}
"""By class of MONAI's, the values that it makes of an array: from its block and the array's shape, channels first."""


class SizeBound:
    """Goes before a transform that could make a sample too large: passes it on as it is, or raises SourceError."""

    def __init__(self, step: Any, block: Block, forecast: Callable[[Any, Block, Record], int]) -> None:
        self.step, self.block, self.forecast = step, block, forecast

    def __repr__(self) -> str:
        return repr(self.step)  # MONAI names what failed: where the forecast can't be made, the transform can't either

    def __call__(self, record: Record) -> Record:
        asked = self.forecast(self.step, self.block, record)
        if asked > LARGEST and asked > values_of(record.values()):
            name = type(self.step).__name__
            raise SourceError(
                f"the transform {name} would make a sample of {asked:,} values of it, more than {LARGEST:,}; set smaller sizes in the config"
            )
        return record


def bounded(step: Any, block: Block) -> list[Any]:
    """Return a transform, behind a `SizeBound` where it could make a sample larger."""
    from monai.transforms.traits import LazyTrait

    name = type(step).__name__
    home = type(step).__module__.startswith("monai.")
    if home and name in GROWTH:
        return [SizeBound(step, block, by_arguments), step]
    if isinstance(step, LazyTrait) and not name.removeprefix("Rand").startswith(KEEPERS):
        return [SizeBound(step, block, by_shape), step]
    return [step]


def by_arguments(step: Any, block: Block, record: Record) -> int:
    """The values of a record after a transform of `GROWTH`."""
    growth = GROWTH[type(step).__name__]
    keys = [key for key in step.keys if isinstance(record.get(key), np.ndarray | torch.Tensor) and record[key].ndim]
    rest = values_of(value for name, value in record.items() if name not in keys)
    return rest + sum(growth(block, record[key].shape) for key in keys)


def by_shape(step: Any, block: Block, record: Record) -> int:  # noqa: ARG001
    """The values of a record after a lazy transform of MONAI's, which is asked for shapes only."""
    from monai.transforms.transform import Randomizable

    asked: Any = (
        deepcopy(step) if isinstance(step, Randomizable) else copy(step)
    )  # its random numbers are drawn once more
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the transform itself will warn
        made = asked(dict(record), lazy=True)
    return values_of(made.values())


def values_of(arrays: Iterable[Any]) -> int:
    """How many values arrays and tensors hold, those of MONAI's that are yet to be made included."""
    return sum(values_in(array) for array in arrays)


def values_in(array: Any) -> int:
    """The values of one array, or 0 of anything else."""
    if not isinstance(array, np.ndarray | torch.Tensor):
        return 0
    if not getattr(array, "pending_operations", None):
        return math.prod(array.shape)
    spatial = [int(side) for side in array.peek_pending_shape()]  # pyright: ignore[reportAttributeAccessIssue]  (a MetaTensor)
    return math.prod([array.shape[0], *spatial, *array.shape[1 + len(spatial) :]])


def each(argument: Any) -> list[Any]:
    """An argument that is one value or a list, as a list; nothing is none."""
    return [] if argument is None else list(argument) if isinstance(argument, list | tuple) else [argument]


def most(argument: Any) -> int:
    """The largest of an argument's numbers, at least 1."""
    return max([1, *(int(value) for value in each(argument) if value is not None)])


def volume(argument: Any, shape: Shape) -> int:
    """The values of an image of the size that is asked for; -1, 0 and nothing leave a side as it is."""
    sizes = each(argument)
    sizes = sizes * len(shape) if len(sizes) == 1 else sizes
    sides = [size if size and size > 0 else side for size, side in zip(sizes, shape, strict=False)]
    return math.prod([*sides, *shape[len(sides) :]])
