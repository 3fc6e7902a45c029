"""First weights of parts of experts, from files of others: values only, bounded before they are read, and said in a line each."""

import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from i2m2_med.config.experts import Pretrained
from i2m2_med.config.run import RunConfig
from i2m2_med.console import plain
from i2m2_med.engine.prediction.allotment import check_header
from i2m2_med.errors import ConfigError, ModelError
from i2m2_med.experts.checkpoint import read_state_dict
from i2m2_med.files import sha256_of
from i2m2_med.model import I2M2
from i2m2_med.sources.formats.damaged import blamed_on

BUNDLED = ("models/model.safetensors", "models/model.pt")
"""Where a MONAI bundle keeps its weights."""
LARGEST = 8 << 30
"""Bytes of a state dict, which is read whole. Of safetensors only what is asked for is read."""
MOST_TENSORS = 50_000
LISTED = 3
"""Names that a line lists; the others are counted."""


def weight_digests(run: RunConfig, experts: Sequence[str]) -> list[str]:
    """The sha256 of each file of first weights. Raises ConfigError for one that is not there."""
    return [
        sha256_of(weight_file(first, f"experts.{name}.weights"))
        for name in experts
        for first in run.experts[name].weights
    ]


def load_pretrained(model: I2M2, run: RunConfig) -> list[str]:
    """Put first weights into a fresh model, freeze what is to stay, and return a line on each part.

    Raises ConfigError for a part or file that is not there, ModelError for a file that does not fit.
    """
    lines: list[str] = []
    for name in model.names:
        for at, first in enumerate(run.experts[name].weights):
            place = f"experts.{name}.weights.{at}"
            part = part_of(model.experts[name], first.part, place)
            lines.append(f"{place}: {load_part(part, first, place)}")
            if first.frozen:
                model.freeze(part)
    return lines


def part_of(network: nn.Module, part: str, place: str) -> nn.Module:
    """A part of a network by its dotted name. Raises ConfigError where it has none."""
    try:
        return network.get_submodule(part)
    except AttributeError as error:
        known = [name for name, _ in network.named_modules() if name and name.count(".") <= part.count(".")]
        raise ConfigError(f"{place}: the network has no part '{part:.80}'; it has {some(known, 20)}") from error


def weight_file(first: Pretrained, place: str) -> Path:
    """The file that holds the weights. Raises ConfigError where there is none, or where a bundle's is a link out of it."""
    path = first.file
    try:
        if path.is_dir():
            inside = next((path / name for name in BUNDLED if (path / name).is_file()), None)
            if inside is None:
                raise ConfigError(f"{place}: the folder {path} holds neither {' nor '.join(BUNDLED)}; name the file")
            if not inside.resolve().is_relative_to(path.resolve()):
                raise ConfigError(
                    f"{place}: {path} is a bundle whose weights are a link out of it; name the file itself"
                )
            return inside
        if path.is_file():
            return path
    except OSError as error:
        raise ConfigError(f"{place}: {path} can't be looked at ({error.strerror})") from error
    raise ConfigError(f"{place}: {path} is not there; name a state dict, a safetensors file or a MONAI bundle's folder")


def load_part(part: nn.Module, first: Pretrained, place: str) -> str:
    """Copy the tensors that a part and a file both name; return what was and what wasn't loaded, in a line."""
    path, own = weight_file(first, place), part.state_dict()
    prefix = first.prefix.removeprefix("module.")
    theirs: dict[str, Tensor] = {}
    others: list[str] = []
    for name, tensor in stored_tensors(path, {prefix + each for each in own}):
        if tensor is not None:
            theirs[name.removeprefix(prefix)] = tensor
        else:
            others.append(name)
    if not theirs:
        raise ModelError(f"{place}: nothing in {path.name} is called {prefix}{next(iter(own), '')}{meant(own, others)}")
    check_fit(own, theirs, f"{place}: {path.name}")
    for name, tensor in theirs.items():
        own[name].copy_(tensor)  # a state dict holds the network's own tensors
    fresh = [name for name in own if name not in theirs]
    line = f"{len(theirs)} of {len(own)} tensors are from {path.name}{', frozen' * first.frozen}"
    line += f"; not in it, so fresh: {some(fresh)}" if fresh else ""
    return line + (f"; left out of it: {some(others)}" if others else "")


def stored_tensors(path: Path, wanted: set[str]) -> Iterator[tuple[str, Tensor | None]]:
    """Each name in a file, without the `module.` of parallel training, and its tensor where it is wanted."""
    if path.suffix != ".safetensors":
        check_archive(path)
        state = read_state_dict(path)
        if len(state) > MOST_TENSORS:
            raise ModelError(f"{path.name} holds more than {MOST_TENSORS:,} tensors, as no network does")
        yield from ((name, tensor if name in wanted else None) for name, tensor in state.items())
        return
    try:
        check_header(path)
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118  (it is no mapping)
                name = key.removeprefix("module.")
                yield name, file.get_tensor(key) if name in wanted else None
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelError(f"{path.name} is no whole safetensors file: {plain(str(error)):.200}") from error


def check_archive(path: Path) -> None:
    """Raise ModelError for a state dict that is larger than what is read, or packed: torch.save packs nothing, a bomb is."""
    if path.stat().st_size > LARGEST:
        raise ModelError(f"{path.name} is larger than {LARGEST >> 30} GiB; save it as safetensors")
    if not zipfile.is_zipfile(path):  # an older form of torch.save, or nothing of its: read_state_dict says so
        return
    with blamed_on(path.name), zipfile.ZipFile(path) as archive:
        packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())
    if packed:
        raise ModelError(f"{path.name} is compressed, as torch.save never does; save the state dict again")


def check_fit(own: dict[str, Tensor], theirs: dict[str, Tensor], place: str) -> None:
    """Raise ModelError that names the tensors of other shapes, of other kinds, or with values that are no numbers."""
    unlike = [
        f"{name} {list(tensor.shape)}, the part has {list(own[name].shape)}"
        for name, tensor in theirs.items()
        if tensor.shape != own[name].shape
    ]
    if unlike:
        hint = "name a part without them, such as a network without its head"
        raise ModelError(f"{place} does not fit: {some(unlike)}; {hint}")
    for name, tensor in theirs.items():
        plain_values = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain_values or tensor.is_floating_point() != own[name].is_floating_point():
            raise ModelError(f"{place}: {name} is of {tensor.dtype}, the part has {own[name].dtype}")
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{place}: {name} holds values that are no numbers (NaN or infinite)")


def meant(own: dict[str, Tensor], others: Sequence[str]) -> str:
    """A clause on the prefix with which most names of a file would be the part's, or on what the file holds."""
    found = Counter(
        name[: -len(end)] for name in others for end in [ending(name, own)] if end is not None and len(end) < len(name)
    )
    if found:
        return f"; did you mean prefix: '{plain(found.most_common(1)[0][0]):.80}'?"
    return f"; it holds {some(others)}" if others else "; it holds no tensor"


def ending(name: str, own: dict[str, Tensor]) -> str | None:
    """The longest end of a dotted name that a part has too."""
    steps = name.split(".")[:20]
    return next((end for at in range(len(steps)) if (end := ".".join(steps[at:])) in own), None)


def some(names: Sequence[str], most: int = LISTED) -> str:
    """The first few of a list of names, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(plain(name)[:80] for name in names[:most]) + more
