"""What a device changes about training, not about what is learnt: precision, memory layout, fused steps; and running out of memory."""

import inspect
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from i2m2_med.config.run import RunConfig
from i2m2_med.config.targets import resolve
from i2m2_med.config.training import Training
from i2m2_med.engine.prediction.seed import device_for
from i2m2_med.errors import ConfigError, UserError
from i2m2_med.memory_limit import out_of_memory
from i2m2_med.model import I2M2

EXECUTION = frozenset({"device", "memory", "accumulate", "compile"})
"""Settings of `training` that say how it is computed: an interrupted training may go on with others."""


def check_execution(run: RunConfig, training: Training) -> None:
    """Raise ConfigError for settings that cancel each other, or that this machine has no device for."""
    if run.modalities.cache is True and training.workers:
        raise ConfigError(
            "modalities.cache: true keeps samples in the memory of the process that trains, and training.workers read them in "
            "others: take modalities.cache: disk, or training.workers: 0"
        )
    if run.modalities.device == "cuda":
        check_transforms(run, training)
    if training.accumulate > training.batch:
        raise ConfigError(
            f"training.accumulate: {training.accumulate} parts of a batch of {training.batch}; take fewer"
        )
    if training.compile and (training.memory == "one_expert" or training.accumulate > 1):
        raise ConfigError("training.compile goes with neither memory: one_expert nor accumulate; keep one of them")
    if training.precision == "fp16" and not on_gpu(device_for(training.device)):
        raise ConfigError("training.precision: fp16 is for a GPU; take auto, fp32, or bf16")


def check_transforms(run: RunConfig, training: Training) -> None:
    """Raise ConfigError where transforms are to compute on a GPU and can't."""
    if run.modalities.cache:
        raise ConfigError(
            "modalities.device: cuda computes each sample anew on the GPU, and modalities.cache keeps samples that were computed: keep one of them"
        )
    if not run.modalities.transforms:
        raise ConfigError(
            "modalities.device: cuda is for modalities.transforms, of which this config has none; leave it out"
        )
    if not on_gpu(device_for(training.device)):
        raise ConfigError("modalities.device: cuda asks for a GPU, and training.device has none here; take cpu")


def on_gpu(device: str) -> bool:
    """Whether a device is a GPU."""
    return device.startswith("cuda")


def scaled_half(training: Training, device: str) -> bool:
    """Whether losses are computed in float16, whose gradients have to be scaled (MONAI's `amp`); `auto` is that on a GPU."""
    return on_gpu(device) and training.precision in {"auto", "fp16"}


def bfloat16(training: Training, device: str) -> AbstractContextManager[Any]:
    """The context in which networks compute in bfloat16, which needs no scaling, where that is asked for.

    What experts say is in float32 again, and so are products, losses, gradients of weights and their steps.
    """
    kind = "cuda" if on_gpu(device) else "cpu"
    return torch.autocast(kind, torch.bfloat16) if training.precision == "bf16" else nullcontext()


def settle(model: I2M2, training: Training, device: str) -> None:
    """Move a model to its device; on a GPU images get the layout that its convolutions want. Compile experts where that is asked for."""
    model.to(device)
    if on_gpu(device):
        channels_last(model)
    elif training.precision == "bf16":
        mend_small_convolutions(model)
    if training.compile:
        for expert in model.experts.values():
            expert.compile(dynamic=True)


def mend_small_convolutions(model: torch.nn.Module) -> None:
    """Let convolutions on a CPU compute in float32 where an image has fewer places than their stride.

    In bfloat16 oneDNN (torch 2.14, AMX) then leaves parts of the weights' gradient as it found the memory, or writes beyond it:
    `Conv3d(32, 64, 3, stride=2, padding=1)` on (8, 32, 1, 2, 1) gave gradients of 1e29, and NaN some epochs later.
    """
    for module in model.modules():
        if isinstance(module, CONVOLUTIONS) and max(module.stride) > 1:
            module.forward = partial(convolve, module)


CONVOLUTIONS = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)


def convolve(convolution: torch.nn.Module, input: Tensor) -> Tensor:
    """Convolve in float32 where an axis is shorter than the stride, else as autocast says."""
    stride: Any = convolution.stride
    small = any(side < step for side, step in zip(input.shape[-len(stride) :], stride, strict=True))
    if not (small and torch.is_autocast_enabled(input.device.type)):
        return type(convolution).forward(convolution, input)  # pyright: ignore[reportCallIssue]
    with torch.autocast(input.device.type, enabled=False):
        return type(convolution).forward(convolution, input.float())  # pyright: ignore[reportCallIssue]


def channels_last(model: torch.nn.Module) -> None:
    """Let the weights of 2-D and 3-D convolutions lie channel by channel last, which is how the inputs then come out of them."""
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if isinstance(module, torch.nn.Conv3d):
            module.to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]


def fused(training: Training, plugins: tuple[str, ...]) -> dict[str, bool]:
    """Return `{"fused": True}` for an optimizer that can update a parameter in one pass over it, where nothing else is asked for."""
    kind = resolve(str(training.optimizer.get("_target_")), "optimizer", "training.optimizer", plugins)
    chosen = {"fused", "foreach", "capturable", "differentiable"} & training.optimizer.keys()
    return {"fused": True} if "fused" in inspect.signature(kind).parameters and not chosen else {}


@contextmanager
def within_memory(training: Training) -> Generator[None]:
    """Raise UserError, with what needs less, where memory runs out; the last whole epoch is on disk by then."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is one; NumPy and Python raise the other
        if not out_of_memory(error):
            raise
        less = settings_that_need_less(training)
        advice = (
            f"the same training needs less with -s {' or -s '.join(less)}"
            if less
            else "give it smaller samples, or smaller networks"
        )
        raise UserError(
            f"out of memory with a batch of {training.batch}: {advice}; the last whole epoch is kept: go on with --resume"
        ) from error


def settings_that_need_less(training: Training) -> list[str]:
    """Return settings, each of which this training may be continued with in less memory; none where there are none left."""
    without = " -s training.compile=false" if training.compile else ""  # neither goes with it
    parts = 2 * training.accumulate
    less = [f"training.accumulate={parts}"] if parts <= training.batch else []
    less += ["training.memory=one_expert"] if training.memory == "all" else []
    return [setting + without for setting in less]
