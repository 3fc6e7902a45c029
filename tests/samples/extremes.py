"""Every allowed transform at the ends of every number's range, each in a process of bounded memory and time: `python extremes.py` prints
a JSON object a line for each that took more than it may, or made more than a sample may hold."""

import json
import os
import resource
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose

from i2m2_med.config.allow_list import allowed
from i2m2_med.config.kinds import CHOICES, LAYERS, RANGES
from i2m2_med.config.targets import build
from i2m2_med.errors import ConfigError, SourceError, causes
from i2m2_med.samples.growth import LARGEST, bounded, values_of

MEMORY = 4 << 30
"""Bytes beside what the process has: what a reader of studies may take."""
SECONDS = 20
AT_ONCE = 50
"""Cases that one process works through."""

Case = tuple[str, dict[str, Any], tuple[int, ...]]
"""A class, its arguments, and the shape of an image."""

SHAPES = ((2, 24, 20), (1, 12, 10, 8))
"""Of the small image that is put through, channels first."""

MILD: dict[str, Any] = {"bool": False, "key": "image", "reader": None, "border": "zeros", "pad": "constant", "few": 1}
MILD |= {
    "number": 1.0,
    "share": 0.5,
    "size": 8,
    "count": 1,
    "int": 1,
    "kernel": 3,
    "degree": 2,
    "sigma": 1.0,
    "spacing": 20.0,
}


def mild(kind: Any) -> Any:
    """A harmless value of a kind, for arguments that must be given."""
    if isinstance(kind, list):
        return kind[0]
    word = kind.rstrip("+?!")
    value = MILD.get(word, CHOICES[word][0] if word in CHOICES else LAYERS[word][0] if word in LAYERS else 1)
    return [value] if "+" in kind and word not in {"key", "dtype", "interpolation", "border", "pad"} else value


def ends(kind: Any, axes: int) -> Iterator[Any]:
    """The values at the ends of a number's range, alone and for every axis; nothing of other kinds."""
    word = "" if isinstance(kind, list) else kind.rstrip("+?!")
    if word not in RANGES:
        return
    low, high = RANGES[word]
    for value in (low, high, *([1e-9, -1e-9] if word == "number" else [])):
        if low <= value <= high:
            yield value
            if "+" in kind:
                yield [value] * axes
                yield [value] * 4096


def cases() -> Iterator[Case]:
    """Each transform of MONAI's with one number at an end of its range, over images of two and three axes."""
    for target, kinds in sorted(allowed().items()):
        if not target.startswith("monai.transforms."):
            continue
        needed = needed_by(target, kinds)
        for shape in SHAPES:
            for name, kind in kinds.items():
                for value in ends(kind, len(shape) - 1):
                    yield target, needed | {name: value}, shape


def needed_by(target: str, kinds: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a class must be given, mild; and those that make it act: its keys, always."""
    import inspect
    from pydoc import locate

    signature = inspect.signature(locate(target))  # pyright: ignore[reportArgumentType]
    names = [name for name, taken in signature.parameters.items() if taken.default is inspect.Parameter.empty]
    block = {name: mild(kinds[name]) for name in names if name in kinds}
    block |= {"keys": ["image"]} if "keys" in kinds else {}
    block |= {"prob": 1.0} if "prob" in kinds else {}
    block |= {"source_key": "image"} if "source_key" in kinds else {}
    block |= {"keep_size": False} if "keep_size" in kinds else {}
    return block


def put_through(target: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> str:
    """Build a transform and put an image through it: '' where that is fine or refused, or what went wrong."""
    image = MetaTensor(torch.rand(shape), affine=torch.eye(4))
    block = {"_target_": target, **arguments}
    try:
        steps = bounded(build(block, "transform", target), block)
        made: Any = Compose(steps)({"image": image})
    except (ConfigError, SourceError):
        return ""
    except MemoryError:
        return "asks for too much memory"
    except Exception as error:  # refused as any error of a library is
        texts = [str(cause) for cause in causes(error)]
        return "asks for too much memory" if any("allocate memory" in text for text in texts) else ""
    arrays = made.values() if isinstance(made, dict) else ()
    return "" if values_of(arrays) <= LARGEST else f"makes {values_of(arrays):,} values"


def judged(several: list[Case]) -> tuple[int, str]:
    """`put_through` of several cases in a process of its own: how many were fine, and what is wrong with the next."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        work(several, writes)
    os.close(writes)
    with os.fdopen(reads, "rb") as answers:
        said = answers.read().decode().splitlines()
    _, status = os.waitpid(child, 0)
    fine = said.count("fine")
    if fine < len(several) and len(said) == fine:
        name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "an error"
        return fine, f"takes more than {SECONDS} s" if name == "SIGALRM" else f"dies of {name}"
    return fine, "".join(said[fine:])


def work(several: list[Case], writes: int) -> None:
    """In the child: judge case after case, each within `SECONDS`, until one is not fine."""
    limit = psutil.Process().memory_info().data + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        for target, arguments, shape in several:
            signal.alarm(SECONDS)
            wrong = put_through(target, arguments, shape)
            os.write(writes, f"{wrong or 'fine'}\n".encode())
            if wrong:
                break
    finally:
        os._exit(0)


def main() -> None:
    """Print what is wrong, a line each, and then how many were tried."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    left = list(cases())
    tried = len(left)
    while left:
        fine, wrong = judged(left[:AT_ONCE])
        if wrong:
            target, arguments, shape = left[fine]
            shown = {name: f"{value!s:.60}" for name, value in arguments.items()}
            print(json.dumps({"wrong": wrong, "target": target, "arguments": shown, "shape": shape}), flush=True)
        left = left[fine + bool(wrong) :]
    print(json.dumps({"tried": tried}))


if __name__ == "__main__":
    sys.exit(main())
