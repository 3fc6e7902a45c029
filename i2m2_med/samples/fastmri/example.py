"""A slice for reports: magnitude and phase with the annotators' boxes, and where each expert looks."""

import textwrap
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from i2m2_med.drawing import Figure
from i2m2_med.samples.example import Sight, Told, draw_looks
from i2m2_med.samples.fastmri.picture import panel
from i2m2_med.samples.pictures import draw_panel
from i2m2_med.sources.fastmri.labels import read_boxes


def draw_example(source: Any, sight: Sight, figure: Figure) -> Told:
    """Draw a slice over the field of view that annotators saw, then what the experts read. source: a `fastmri.Source`."""
    one = panel(dict(sight.record), boxes_of(source.annotations, source.settings.anatomy))
    axes = list(figure.subplots(1, len(one.parts) + len(sight.looks), squeeze=False)[0])
    draw_panel(axes[: len(one.parts)], one)
    looks = draw_looks(axes[len(one.parts) :], sight, one.place)
    boxes = "; ".join(f"box {number}: {text}" for number, (*_, text) in enumerate(one.boxes, 1)) or "no box"
    figure.supxlabel(textwrap.fill(boxes, 120), fontsize=7)
    return Told("; ".join([f"{' and '.join(one.parts)} of a slice with the annotators' boxes ({boxes})", *looks]))


@lru_cache(maxsize=2)
def boxes_of(annotations: Path, anatomy: Any) -> pl.DataFrame:
    """The boxes of a data set, read once."""
    return read_boxes(annotations, anatomy)
