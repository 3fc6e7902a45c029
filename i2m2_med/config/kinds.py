"""Kinds of arguments: what a value inside a `_target_` block may be. Nothing is imported to judge one.

A kind is a word of `RANGES` or `CHOICES`, or one of `bool`, `false`, `key`, `keys`, `act`, `norm`, `place`, `block`, with marks behind
it: `+` one or a list of them, `++` lists of such lists too, `?` or none, `!` must be given. A list of words is a choice of its own.
"""

import math
import re
from collections.abc import Callable
from typing import Any

RANGES: dict[str, tuple[float, float]] = {
    "int": (-1_000_000, 1_000_000),
    "count": (1, 65_536),  # of channels, features, layers, kernel and stride
    "size": (-1, 16_384),  # of an image side; -1 and 0 mean all of it
    "rows": (1, 10_000_000),  # of an embedding
    "steps": (0, 1_000_000_000),
    "number": (-1e12, 1e12),
    "share": (0, 1),
    "few": (0, 256),  # of copies, cells, holes
    "degree": (0, 10),  # of a polynomial
    "kernel": (0, 33),  # of a filter, along one side
    "sigma": (0, 16),  # of a Gaussian filter, in voxels: its kernel has 8 times as many
    "spacing": (1, 10_000),  # of control points, in voxels
}
"""Smallest and largest value of each kind of number."""

WITH_FRACTION = ("number", "share", "sigma", "spacing")

CHOICES: dict[str, tuple[str, ...]] = {
    "dtype": ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64"),
    "interpolation": ("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area"),
    "border": ("zeros", "border", "reflection"),
    "pad": (
        *("constant", "edge", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect", "symmetric"),
        *("wrap", "replicate", "circular"),
    ),
    "reader": ("ITKReader", "NibabelReader", "NrrdReader", "NumpyReader", "PILReader", "PydicomReader"),
    "reduction": ("mean", "sum", "none"),
}
"""Words that name a way of computing, by kind."""

ACTIVATIONS = [
    "elu",
    "relu",
    "leakyrelu",
    "prelu",
    "relu6",
    "selu",
    "celu",
    "gelu",
    "sigmoid",
    "tanh",
    "softmax",
    "logsoftmax",
    "swish",
    "memswish",
    "mish",
    "geglu",
]
NORMS = ["instance", "batch", "group", "layer", "localresponse"]
LAYERS = {"act": ACTIVATIONS, "norm": NORMS}
"""MONAI's activations and norms by name, in any case: `relu`, or with settings `[leakyrelu, {negative_slope: 0.1}]`."""

LONGEST = 4_096
"""Items of a list, such as weights of classes."""

NAME = re.compile(r"[^\W\d]\w{0,63}")
FOREIGN = re.compile(r"://|[\x00-\x1f\x7f]|^[$@%~]|\$\{")
"""Matches parts that no local path holds: a URL, control characters, something to be expanded."""

Kind = str | list[str]


def judge(value: Any, kind: Kind) -> str | None:
    """Return what `value` should be instead, or None where it is of its kind."""
    if isinstance(kind, list):
        return None if type(value) is str and value in kind else f"one of {', '.join(kind)}"
    word, marks = kind.rstrip("+?!"), kind[len(kind.rstrip("+?!")) :]
    if value is None and "?" in marks:
        return None
    wanted = judge_nested(value, word, marks.count("+"))
    none = " or null" if wanted and "?" in marks else ""
    return f"{wanted}{none}" if wanted else None


def judge_nested(value: Any, word: str, depth: int) -> str | None:
    """One value, or lists of them up to `depth` deep."""
    if isinstance(value, list | tuple) and depth:
        if len(value) > LONGEST:
            return f"a list of at most {LONGEST:,}"
        wrong = next((wanted for item in value if (wanted := judge_nested(item, word, depth - 1))), None)
        return f"a list, each {wanted}" if wrong and (wanted := wrong) else None
    wanted = judge_one(value, word)
    return f"{wanted}, or a list of such" if wanted and depth else wanted


def judge_one(value: Any, word: str) -> str | None:
    """One value of a kind without marks."""
    if word in RANGES:
        return judge_number(value, word)
    if word in CHOICES:
        return None if type(value) is str and value in CHOICES[word] else f"one of {', '.join(CHOICES[word])}"
    return JUDGES[word](value)


def judge_number(value: Any, word: str) -> str | None:
    """A finite number in its range; a truth value is none."""
    low, high = RANGES[word]
    kinds = (int, float) if word in WITH_FRACTION else (int,)
    right = type(value) in kinds and low <= value <= high and math.isfinite(value)
    name = "a number" if word in WITH_FRACTION else "a whole number"
    return None if right else f"{name} from {low:,} to {high:,}"


def judge_layer(value: Any, word: str) -> str | None:
    """An activation or norm by name, or `[name, {setting: number}]`."""
    name, settings = (value, {}) if not isinstance(value, list | tuple) or len(value) != 2 else value
    known = type(name) is str and name.lower() in LAYERS[word]
    plain = isinstance(settings, dict) and all(
        type(key) is str and NAME.fullmatch(key) and not judge_setting(setting) for key, setting in settings.items()
    )
    return None if known and plain else f"one of {', '.join(LAYERS[word])}, or [name, {{setting: number}}]"


def judge_setting(value: Any) -> bool:
    """Whether a layer's setting is anything but a truth value or a number."""
    return type(value) is not bool and judge_number(value, "number") is not None


def judge_place(value: Any) -> str | None:
    """A local file or folder by its path."""
    right = type(value) is str and 0 < len(value) <= 1_000 and not FOREIGN.search(value)
    return None if right else "a local path"


def is_name(value: Any) -> bool:
    """Whether this is a plain name, as modalities have: letters, digits and `_`."""
    return type(value) is str and NAME.fullmatch(value) is not None


JUDGES: dict[str, Callable[[Any], str | None]] = {
    "bool": lambda value: None if type(value) is bool else "true or false",
    "false": lambda value: None if value is False else "false (nothing is downloaded)",
    "key": lambda value: None if is_name(value) else "a plain name",
    "act": lambda value: judge_layer(value, "act"),
    "norm": lambda value: judge_layer(value, "norm"),
    "place": judge_place,
    "block": lambda value: None if isinstance(value, dict) and "_target_" in value else "a block with _target_",
}
