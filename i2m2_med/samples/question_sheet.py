"""Pictures with the text that is about them: a sheet of several with the answer, and one sample for reports."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg

from i2m2_med.drawing import Figure
from i2m2_med.files import replace_file
from i2m2_med.samples.example import Sight, Told
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


def draw_example(source: Any, sight: Sight, figure: Figure) -> Told:
    """Draw a sample's pictures as they lie on disk, with its text, for reports. source: a `ListedSource`, whose data are public."""
    pictures = list(sight.record["_pictures"]) if "picture" in sight.inputs else []
    text = str(sight.record[f"_{source.text}"]) if source.text in sight.inputs else ""
    for axes, picture in zip(figure.subplots(1, max(len(pictures), 1), squeeze=False).flat, pictures, strict=False):
        _draw(axes, Path(picture))
    if not pictures:
        figure.clear()
    figure.supxlabel("\n".join(textwrap.wrap(text, 110)), fontsize=8)
    shown = f"{len(pictures)} pictures side by side" if len(pictures) > 1 else "a picture" if pictures else "no picture"
    return Told(f"{shown} of the {source.text} below it", text)


def _draw(axes: Axes, picture: Path) -> None:
    axes.imshow(read_photograph(picture).transpose(1, 2, 0))
    axes.set_axis_off()
