"""A sheet of pictures with the text that is about them and the answer."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg

from i2m2_med.drawing import Figure
from i2m2_med.files import replace_file
from i2m2_med.sources.formats.photograph import read_photograph

COLUMNS = 2


class Question(NamedTuple):
    """Pictures, a text about them, and what is true of them."""

    pictures: Sequence[str]
    text: str
    answer: str


def draw_questions(shown: Sequence[Question], path: Path, title: str) -> Path:
    """Write a PNG of questions, each with its pictures side by side; return its path."""
    rows = -(-len(shown) // COLUMNS) or 1
    figure = Figure(figsize=(6 * COLUMNS, 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for part, one in zip(figure.subfigures(rows, COLUMNS, squeeze=False).flat, shown, strict=False):
        part.suptitle("\n".join(textwrap.wrap(f"{one.text} [{one.answer}]", 70)), fontsize=8)
        for axes, picture in zip(part.subplots(1, len(one.pictures), squeeze=False).flat, one.pictures, strict=True):
            _draw(axes, Path(picture))
    figure.suptitle(title)
    with replace_file(path) as beside:
        figure.savefig(beside, dpi=100, format="png")
    return path


def _draw(axes: Axes, picture: Path) -> None:
    axes.imshow(read_photograph(picture).transpose(1, 2, 0))
    axes.set_axis_off()
