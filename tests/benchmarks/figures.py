"""What a benchmark hands in: costs of ours beside costs of a baseline, taken in turns within one run.

Every figure is a cost (seconds, bytes), so that less is better everywhere: `ratio = ours / baseline`. Ratios of one run are what two
machines, or two versions, can be compared by; their spread over the repetitions says how far.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Figure:
    """One line of the table; `low` and `high` are the extreme ratios of the repetitions."""

    name: str
    """The benchmark's file and the figure's own name, `table/png`: what two runs are compared by."""
    what: str
    against: str
    ours: float
    baseline: float
    ratio: float
    low: float
    high: float
    repeats: int
    unit: str
    """`CPU s` of every process that works for it, `s` by the clock, `GB`, …"""
    at_most: float | None = None
    """The ratio aimed at."""

    @property
    def spread(self) -> float:
        return self.high - self.low


@dataclass
class Figures:
    """The figures of one benchmark."""

    prefix: str
    once: bool = False
    """A rehearsal: everything is called once, nothing is recorded for comparison."""
    found: list[Figure] = field(default_factory=list)

    def beside(
        self, name: str, what: str, ours: Callable[[], float], against: str, baseline: Callable[[], float],
        *, unit: str = "CPU s", repeats: int = 3, at_most: float | None = None,
    ) -> Figure:  # fmt: skip
        """Call the two in turns; each returns its own cost. A busy machine is then busy for both."""
        pairs = [(baseline(), ours()) for _ in range(1 if self.once else repeats)]
        return self.add(name, what, [mine for _, mine in pairs], against, [bare for bare, _ in pairs], unit, at_most)

    def add(
        self, name: str, what: str, ours: Sequence[float], against: str, baseline: Sequence[float],
        unit: str, at_most: float | None = None,
    ) -> Figure:  # fmt: skip
        """Costs that were measured already, one of each per repetition. The ratio is the median of the repetitions' own."""
        costs = np.array([ours, baseline], float)
        if not np.isfinite(costs).all() or not costs[1].all():
            raise ValueError(f"{name}: no ratio can be made of {list(ours)} and {list(baseline)}")
        ratios = costs[0] / costs[1]
        figure = Figure(
            f"{self.prefix}/{name}", what, against, float(np.median(ours)), float(np.median(baseline)), float(np.median(ratios)),
            float(ratios.min()), float(ratios.max()), len(ratios), unit, at_most,
        )  # fmt: skip
        self.found.append(figure)
        print(f"\n{line(figure)}")
        return figure

    def exponent(
        self, name: str, what: str, sizes: Sequence[float], costs: Sequence[Sequence[float]], at_most: float | None = None
    ) -> Figure:  # fmt: skip
        """The slope of log cost over log size, beside 1, which is linear. `costs` holds one sequence over `sizes` per repetition."""
        slopes = [float(np.polyfit(np.log(sizes), np.log(each), 1)[0]) for each in costs]
        sizes_said = ", ".join(f"{size:g}" for size in sizes)
        return self.add(
            name, f"{what}: exponent over {sizes_said}", slopes, "linear", [1.0] * len(slopes), "exponent", at_most
        )

    def record(self) -> list[dict[str, Any]]:
        """As JSON keeps them."""
        return [asdict(figure) for figure in self.found]


def number(value: float) -> str:
    """Three significant digits without an exponent."""
    digits = max(0, 2 - int(np.floor(np.log10(abs(value))))) if value else 0
    return f"{value:,.{min(digits, 6)}f}"


def line(figure: Figure) -> str:
    """One figure on a terminal."""
    aim = "" if figure.at_most is None else f" (at most {figure.at_most:g})"
    return (
        f"{figure.what}: {number(figure.ours)} {figure.unit} beside {figure.against} {number(figure.baseline)}: "
        f"{number(figure.ratio)} ×{aim}, {number(figure.low)} to {number(figure.high)} in {figure.repeats}"
    )
