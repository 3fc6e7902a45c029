"""Pictures of images: slices side by side, magnitude in grey, phase in a circular colour map, boxes where findings are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle


@dataclass(frozen=True)
class Panel:
    """One slice: magnitude and phase (row, column), and boxes (x, y, width, height, text) in pixels from the top left."""

    title: str
    magnitude: np.ndarray
    phase: np.ndarray
    """In radians."""
    boxes: Sequence[tuple[float, float, float, float, str]] = field(default_factory=tuple)


def draw_grid(panels: Sequence[Panel], path: Path, title: str) -> None:
    """Write a PNG: a column per slice, magnitude above phase; pixels as they are stored, row 0 on top."""
    figure = Figure(figsize=(2.6 * len(panels) + 0.8, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(2, len(panels), squeeze=False)
    turn = ScalarMappable(Normalize(-np.pi, np.pi), "twilight")
    for column, panel in enumerate(panels):
        top, bottom = axes[0, column], axes[1, column]
        top.imshow(panel.magnitude, cmap="gray", vmin=0, vmax=np.quantile(panel.magnitude, 0.995))
        bottom.imshow(panel.phase, cmap=turn.cmap, norm=turn.norm)
        top.set_title(panel.title, fontsize=8)
        for axis in (top, bottom):
            axis.set_xticks([])
            axis.set_yticks([])
            _draw_boxes(axis, panel.boxes)
    axes[0, 0].set_ylabel("magnitude")
    axes[1, 0].set_ylabel("phase (rad)")
    figure.colorbar(turn, ax=axes[1, :].tolist(), shrink=0.8, ticks=[-3, 0, 3])
    figure.savefig(path, dpi=110, format="png")


def _draw_boxes(axis: Axes, boxes: Sequence[tuple[float, float, float, float, str]]) -> None:
    for number, (x, y, width, height, text) in enumerate(boxes):
        colour = f"C{number % 10}"
        axis.add_patch(Rectangle((x - 0.5, y - 0.5), width, height, fill=False, edgecolor=colour, linewidth=1.2))
        axis.text(x, y - 2, text, color=colour, fontsize=5, clip_on=True)
