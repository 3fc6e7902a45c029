"""State dicts of the published code (github divyam3897/I2M2 @ 7742765) → weights of ours, never unpickling code."""

import pickle
import warnings
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from torch import Tensor, nn

from i2m2_med.config.settings import Target
from i2m2_med.config.targets import build
from i2m2_med.errors import ModelError


class PublishedExpert(NamedTuple):
    """One expert of the published code."""

    expert: str
    """Its name in our configs."""
    prefix: str
    """Before each of its parameters' names in a checkpoint of the whole model."""
    output: str
    """Bias of its last layer: its length is the number of classes."""
    network: Target
    """Our network but for the number of classes."""
    alone: str = ""
    """Before each of its parameters' names in a checkpoint that holds it alone."""


def published_systems() -> dict[str, tuple[PublishedExpert, ...]]:
    """Return the experts of each of the published systems, as `configs/published.yaml` lists them."""
    listed: dict[str, Any] = yaml.safe_load((files("i2m2_med.configs") / "published.yaml").read_text(encoding="utf-8"))
    return {
        system: tuple(PublishedExpert(name, **known) for name, known in experts.items())
        for system, experts in listed.items()
    }


class Imported(NamedTuple):
    """One expert's weights under our names, and what became of the published ones."""

    weights: dict[str, Tensor]
    mapped: dict[str, str]
    unused: list[str]


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Published name → tensor, on the CPU. Raises ModelError for anything but a state dict (a pickled module is never run)."""
    if not path.is_file():
        raise ModelError(f"{path} is not there; name the published checkpoint (.pt, .pth).")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles' protocols, and of sparse tensors
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} is a pickled module, which would run code when opened; save its state_dict() instead: "
            "torch.save(model.state_dict(), …) where the published code runs."
        ) from error
    except Exception as error:  # damage makes torch raise kinds of all sorts
        raise ModelError(f"{path.name} is not a whole checkpoint of torch.save; copy or save it again.") from error
    state = content
    if isinstance(content, Mapping):  # MONAI, MoCo and others keep it under one of these names
        state = next(
            (content[key] for key in ("state_dict", "model") if isinstance(content.get(key), Mapping)), content
        )
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ModelError(f"{path.name} holds no state dict (parameter name → tensor); save model.state_dict().")
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def import_expert(published: PublishedExpert, state: Mapping[str, Tensor]) -> Imported | None:
    """The expert's part of a state dict under our names; None if it holds nothing of it. Raises ModelError if incomplete."""
    prefix = published.prefix
    theirs = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if not theirs:
        return None
    if published.output not in theirs:
        raise ModelError(
            f"the checkpoint lacks {prefix}{published.output}, the output of the {published.expert} expert."
        )
    classes = len(theirs[published.output])
    network: nn.Module = build(published.network, "network", f"published.{published.expert}", classes=classes)
    ours: dict[str, Tensor] = network.state_dict()
    names: dict[str, str] = network.published_names()  # pyright: ignore[reportAssignmentType, reportCallIssue]
    counters = {names[name]: ours[name] for name in names if name.endswith("num_batches_tracked")}
    theirs = counters | theirs  # old checkpoints lack BatchNorm's counters, which nothing depends on
    for our_name, their_name in names.items():
        _check(prefix + their_name, theirs.get(their_name), ours[our_name])
    weights = {name: theirs[names[name]].to(ours[name].dtype).contiguous() for name in names}
    return Imported(weights, names, sorted(set(theirs) - set(names.values())))


def _check(name: str, theirs: Tensor | None, ours: Tensor) -> None:
    if theirs is None and "fuse.factors" in name:
        raise ModelError(
            f"the checkpoint lacks {name}: the published code never saved (nor trained) its low-rank factors."
        )
    if theirs is None:
        raise ModelError(f"the checkpoint lacks {name}; is it of another network?")
    if theirs.shape != ours.shape:
        raise ModelError(f"{name} is {list(theirs.shape)}, where the network has {list(ours.shape)}.")
