"""In what a phase image is stored → radians. What is not said, and fills no range that scanners are known to use, is refused."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.errors import SourceError

RADIANS = {"rad": 1.0, "radian": 1.0, "radians": 1.0, "mrad": 1e-3, "milliradian": 1e-3, "milliradians": 1e-3}
UNITS = {**RADIANS, "milliradials": 1e-3, "deg": np.pi / 180, "degree": np.pi / 180, "degrees": np.pi / 180}
"""Units that say themselves how many radians they are. BIDS knows `rad` and `arbitrary`; Philips writes milliradials."""
WORDS = {1.0: "rad", 1e-3: "mrad", np.pi / 180: "degrees"}
MOST_RADIANS = 100 * np.pi
"""Unwrapped phases reach dozens of turns, not thousands: more is another unit under this name."""
FILLED = 0.9
"""Share of a range that an image must fill to be taken for one of that range; milliradians fill 0.77 of ±4096."""
MOST_SIDECAR = 2**20


@dataclass(frozen=True)
class Scale:
    """radians = value · slope + offset."""

    slope: float
    offset: float = 0.0
    unit: str = "rad"
    """What the values are stored in: a unit, or the range of a whole turn."""


@dataclass(frozen=True)
class Range:
    """A range in which scanners store a whole turn."""

    low: float
    high: float
    scale: Scale
    whole: bool
    """Of whole numbers."""


RANGES = (
    Range(-np.pi, np.pi, Scale(1.0), False),
    Range(0.0, 2 * np.pi, Scale(1.0), False),
    Range(-4096.0, 4095.0, Scale(np.pi / 4096, unit="±4096"), True),
    Range(0.0, 4095.0, Scale(2 * np.pi / 4096, -np.pi, unit="0 … 4095"), True),  # 0 is -π
)


def phase_scale(low: float | int, high: float | int, units: str | None, name: str) -> Scale:
    """How values from `low` to `high` become radians. units: as a sidecar or tag says them; None where nothing does.

    Raises SourceError where units are not known, contradict the values, or would be a guess.
    """
    known = None if units is None else UNITS.get(units.strip().lower())
    if known is not None:
        if max(-low, high) * known > MOST_RADIANS:
            raise SourceError(f"{name} holds {low:g} … {high:g}, which is no phase in '{units}'; check its Units.")
        return Scale(known, unit=WORDS[known])
    if units is not None and units.strip().lower() != "arbitrary":
        raise SourceError(f"{name}: a phase in '{units}' can't be read; give Units as rad or arbitrary.")
    for one in RANGES:
        if (units is None or one.whole) and _fills(low, high, one):
            return one.scale
    raise SourceError(
        f"{name} holds {low:g} … {high:g}, which fills none of the ranges ±π, 0 … 2π, 0 … 4095 and ±4096; say "
        'what it is: {"Units": "rad"} in a .json file of the same name, with the phase in radians.'
    )


def _fills(low: float | int, high: float | int, one: Range) -> bool:
    width = one.high - one.low
    slack = 1.0 if one.whole else 1e-3 * width
    inside = one.low - slack <= low and high <= one.high + slack
    return inside and low <= one.low + (1 - FILLED) / 2 * width and high >= one.high - (1 - FILLED) / 2 * width


def read_sidecar(image: Path, stem: str) -> dict[str, Any]:
    """The `.json` beside an image, empty where there is none. Raises SourceError where it is no JSON object."""
    path = image.with_name(f"{stem}.json")
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > MOST_SIDECAR:
            raise SourceError(f"{path.name} has more than {MOST_SIDECAR // 2**20} MiB; a sidecar is a few kilobytes.")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{path.name} can't be read as JSON.") from error
    if not isinstance(content, dict):
        raise SourceError(f"{path.name} is no JSON object.")
    return content
