"""Pictures of images: slices side by side, magnitude in grey, phase in a circular colour map, boxes where findings are."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from i2m2_med.drawing import Figure


@dataclass(frozen=True)
class Panel:
    """One slice: magnitude and phase (row, column), and boxes (x, y, width, height, text) in pixels from the top left."""

    title: str
    magnitude: np.ndarray
    phase: np.ndarray
    """In radians."""
    boxes: Sequence[tuple[float, float, float, float, str]] = field(default_factory=tuple)


def draw_grid(panels: Sequence[Panel], path: Path, title: str) -> None:
    """Write a PNG: a column per slice, magnitude above phase, what its numbered boxes say below; row 0 on top, as stored."""
    figure = Figure(figsize=(2.6 * len(panels) + 0.8, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(2, len(panels), squeeze=False)
    turn = ScalarMappable(Normalize(-np.pi, np.pi), "twilight")
    for column, panel in enumerate(panels):
        top, bottom = axes[0, column], axes[1, column]
        top.imshow(panel.magnitude, cmap="gray", vmin=0, vmax=np.quantile(panel.magnitude, 0.995))
        bottom.imshow(panel.phase, cmap=turn.cmap, norm=turn.norm)
        top.set_title(textwrap.fill(panel.title, 34), fontsize=8)
        named = [f"{number} {text}" for number, (*_, text) in enumerate(panel.boxes, 1)]
        bottom.set_xlabel("\n".join(named), fontsize=6, loc="left")
        for axis in (top, bottom):
            axis.set_xticks([])
            axis.set_yticks([])
            _draw_boxes(axis, panel.boxes)
    axes[0, 0].set_ylabel("magnitude")
    axes[1, 0].set_ylabel("phase (rad)")
    figure.colorbar(turn, ax=axes[1, :].tolist(), shrink=0.8, ticks=[-3, 0, 3])
    figure.savefig(path, dpi=110, format="png")


def _draw_boxes(axis: Axes, boxes: Sequence[tuple[float, float, float, float, str]]) -> None:
    for number, (x, y, width, height, _) in enumerate(boxes, 1):
        colour = f"C{(number - 1) % 10}"
        axis.add_patch(Rectangle((x - 0.5, y - 0.5), width, height, fill=False, edgecolor=colour, linewidth=1.2))
        axis.annotate(str(number), (x - 0.5, y - 0.5), (2, -7), textcoords="offset points", color=colour, fontsize=7)
