"""Pictures of images: slices side by side, magnitude in grey, phase in a circular colour map, boxes where findings are."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from i2m2_med.drawing import Figure

BARS_MM = (1, 2, 5, 10, 20, 50, 100, 200)
"""Lengths of scale bars; the longest within a third of the image is drawn."""
OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}


@dataclass(frozen=True)
class Place:
    """How large an image is and where it lies, as far as is known."""

    pixel_mm: tuple[float, float] | None = None
    """Spacing of rows and of columns."""
    toward: tuple[str, str] | None = None
    """Where columns and rows go, letters of R, L, A, P, S, I; None where the format has no orientation."""

    @property
    def upwards(self) -> bool:
        """Rows go to the head or the front: row 0 is drawn at the bottom, as radiologists look at it."""
        return self.toward is not None and self.toward[1] in "SA"

    def __str__(self) -> str:
        size = (
            "pixel size not known"
            if self.pixel_mm is None
            else f"pixels {self.pixel_mm[0]:.3g} × {self.pixel_mm[1]:.3g} mm"
        )
        return f"{size}, orientation {'nominal' if self.toward is None else 'of the file'}"


def place_of(record: Mapping[str, Any]) -> Place:
    """Return the place of a record's image: `_voxel_mm` and `_toward`, as far as its source knows them."""
    voxel, toward = record.get("_voxel_mm"), record.get("_toward")
    return Place(None if voxel is None else (voxel[0], voxel[1]), None if toward is None else (toward[0], toward[1]))


PARTS = {"magnitude": "magnitude", "phase": "phase (rad)"}
"""Rows of a picture, and what is written beside them."""


@dataclass(frozen=True)
class Panel:
    """One slice: magnitude and phase (row, column), and boxes (x, y, width, height, text) in pixels from the first one."""

    title: str
    magnitude: np.ndarray
    phase: np.ndarray
    """In radians."""
    boxes: Sequence[tuple[float, float, float, float, str]] = field(default_factory=tuple)
    place: Place = Place()
    parts: tuple[str, ...] = ("magnitude", "phase")
    """Which of the two were acquired."""


def draw_grid(panels: Sequence[Panel], path: Path, title: str) -> None:
    """Write a PNG: a column per slice, magnitude above phase, what its numbered boxes say below.

    With a scale bar where pixels have a size, and letters of the patient's sides where the file says them.
    """
    rows = [part for part in PARTS if any(part in panel.parts for panel in panels)]
    figure, axes, beside = _grid(panels[0].magnitude, panels[0].place, len(rows), len(panels))
    figure.suptitle(f"{title}\n{panels[0].place}", fontsize=10)
    turn = turns()
    for column, panel in enumerate(panels):
        for line, part in enumerate(rows):
            _draw_part(axes[line][column], panel, part, turn)
        axes[0][column].set_title(textwrap.fill(panel.title, 34), fontsize=8)
        named = [f"{number} {text}" for number, (*_, text) in enumerate(panel.boxes, 1)]
        axes[-1][column].set_xlabel("\n".join(named), fontsize=6, loc="left")
    for line, part in enumerate(rows):
        axes[line][0].set_ylabel(PARTS[part])
        if part == "phase":
            bar = figure.colorbar(turn, cax=beside[line], ticks=[-np.pi, 0, np.pi])
            bar.ax.set_yticklabels(["−π", "0", "π"])
            bar.set_label("rad", fontsize=8)
        else:
            beside[line].set_axis_off()
    figure.savefig(path, dpi=110, format="png")


def turns() -> ScalarMappable:
    """The colours of angles."""
    return ScalarMappable(Normalize(-np.pi, np.pi), "twilight")


def draw_panel(axes: Sequence[Axes], panel: Panel) -> None:
    """Draw the parts of one slice that were acquired, one in each of `axes`."""
    for axis, part in zip(axes, panel.parts, strict=True):
        _draw_part(axis, panel, part, turns())
        axis.set_title(PARTS[part], fontsize=8)


def _draw_part(axis: Axes, panel: Panel, part: str, turn: ScalarMappable) -> None:
    """One image of a panel with its boxes; what was not acquired is said."""
    if part not in panel.parts:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.text(0.5, 0.5, "not acquired", transform=axis.transAxes, ha="center", va="center", fontsize=8)
        return
    if part == "phase":
        draw_image(axis, panel.phase, panel.place, cmap=turn.cmap, norm=turn.norm)
    else:
        top = np.quantile(panel.magnitude, 0.995)
        draw_image(axis, panel.magnitude, panel.place, cmap="gray", vmin=0, vmax=top)
    _draw_boxes(axis, panel.boxes)


def draw_rows(
    rows: Sequence[tuple[str, np.ndarray]], items: Sequence[int], path: Path, title: str, place: Place
) -> None:
    """Write a PNG: a row per named channel, (slice, row, column) each, a column per slice; grey values from low to high."""
    figure, axes, beside = _grid(rows[0][1][0], place, len(rows), len(items))
    figure.suptitle(f"{title}\n{place}", fontsize=10)
    for line, (name, images) in enumerate(rows):
        low, high = np.quantile(images, [0.005, 0.995])
        for column, image in enumerate(images):
            draw_image(axes[line][column], image, place, cmap="gray", vmin=low, vmax=max(high, low + 1e-12))
        axes[line][0].set_ylabel(name)
        scale = ScalarMappable(Normalize(low, max(high, low + 1e-12)), "gray")
        figure.colorbar(scale, cax=beside[line]).ax.tick_params(labelsize=7)
    for column, item in enumerate(items):
        axes[0][column].set_title(f"slice {item}", fontsize=8)
    figure.savefig(path, dpi=110, format="png")


def _grid(image: np.ndarray, place: Place, n_rows: int, n_columns: int) -> tuple[Figure, list[list[Axes]], list[Axes]]:
    """Axes of images of one shape, all of one size, and a narrow one beside each row for its scale of values."""
    tall = np.clip(image.shape[0] / image.shape[1] * _aspect(place), 0.4, 2.5)
    figure = Figure(figsize=(2.4 * n_columns + 1.0, 2.4 * tall * n_rows + 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(n_rows, n_columns + 1, width_ratios=[1.0] * n_columns + [0.06])
    axes = [[figure.add_subplot(grid[row, column]) for column in range(n_columns)] for row in range(n_rows)]
    return figure, axes, [figure.add_subplot(grid[row, n_columns]) for row in range(n_rows)]


def draw_image(axis: Axes, image: np.ndarray, place: Place, **colours: object) -> None:
    """An image in its true proportions, with scale bar and letters."""
    axis.imshow(image, origin="lower" if place.upwards else "upper", aspect=_aspect(place), **colours)  # pyright: ignore[reportArgumentType]
    axis.set_xticks([])
    axis.set_yticks([])
    if place.pixel_mm is not None:
        _draw_scale(axis, image.shape[1], place.pixel_mm[1])
    if place.toward is not None:
        columns, rows = place.toward
        top, bottom = (rows, OPPOSITE[rows]) if place.upwards else (OPPOSITE[rows], rows)
        spots = ((0.03, 0.5, OPPOSITE[columns]), (0.97, 0.5, columns), (0.5, 0.96, top), (0.5, 0.04, bottom))
        for x, y, letter in spots:
            axis.text(x, y, letter, transform=axis.transAxes, **LETTER)  # pyright: ignore[reportArgumentType]


LETTER = {
    "color": "white",
    "fontsize": 7,
    "ha": "center",
    "va": "center",
    "path_effects": [withStroke(linewidth=1.5, foreground="black")],
}


def _draw_scale(axis: Axes, n_columns: int, pixel_mm: float) -> None:
    """A bar of a round length at the lower right."""
    fitting = [length for length in BARS_MM if length <= n_columns * pixel_mm / 3]
    if not fitting:
        return
    share = fitting[-1] / (n_columns * pixel_mm)
    outline = [withStroke(linewidth=3.5, foreground="black")]
    axis.plot(
        [0.95 - share, 0.95], [0.05, 0.05], transform=axis.transAxes, color="white", linewidth=2, path_effects=outline
    )
    axis.text(0.95 - share / 2, 0.115, f"{fitting[-1]} mm", transform=axis.transAxes, **LETTER)  # pyright: ignore[reportArgumentType]


def _aspect(place: Place) -> float:
    """Height of a pixel by its width."""
    return 1.0 if place.pixel_mm is None else place.pixel_mm[0] / place.pixel_mm[1]


def _draw_boxes(axis: Axes, boxes: Sequence[tuple[float, float, float, float, str]]) -> None:
    for number, (x, y, width, height, _) in enumerate(boxes, 1):
        colour = f"C{(number - 1) % 10}"
        axis.add_patch(Rectangle((x - 0.5, y - 0.5), width, height, fill=False, edgecolor=colour, linewidth=1.2))
        axis.annotate(str(number), (x - 0.5, y - 0.5), (2, -7), textcoords="offset points", color=colour, fontsize=7)
