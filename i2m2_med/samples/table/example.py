"""A row of a table for reports: its images, small, its series, how its numbers lie among training's, and where image experts look."""

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from PIL import Image as Picture

from i2m2_med.drawing import Figure
from i2m2_med.samples.example import Sight, Told, draw_looks, draw_series, plane
from i2m2_med.samples.pictures import Place, draw_image
from i2m2_med.sources.table.settings import Columns, Image, Series

MOST_NUMBERS = 12
LARGEST = 64
"""Pixels of an image's longer side: what is burnt into a photograph can't be read at that."""
BOUND = 3.0
"""Standard deviations; a number beyond is drawn as this many, so that no rare value is told."""


def draw_example(source: Any, sight: Sight, figure: Figure) -> Told:
    """Draw images, series and numbers side by side, then what image experts look at; texts and words are not shown.

    source: a `table.Source`.
    """
    kinds = source.settings.modalities
    shown = [name for name in sight.inputs if isinstance(kinds.get(name), Image | Columns | Series)]
    axes = list(figure.subplots(1, max(len(shown) + len(sight.looks), 1), squeeze=False)[0])
    words = [draw_modality(axis, name, kinds[name], sight) for axis, name in zip(axes, shown, strict=False)]
    words += draw_looks(axes[len(shown) :], sight, Place(), coarse) if sight.looks else []
    return Told("; ".join(words) or "nothing that can be drawn")


def draw_modality(axis: Axes, name: str, kind: Any, sight: Sight) -> str:
    """Draw one modality; return what it shows, in words."""
    axis.set_title(name, fontsize=8)
    if isinstance(kind, Image):
        draw_image(axis, coarse(plane(sight.inputs[name])), Place(), cmap="gray")
        return f"the image {name}"
    if isinstance(kind, Series):
        names = kind.items or ()
        return f"{name} over hours: {draw_series(axis, sight.arrays[name][:, : len(names)].astype(np.float64), names)}"
    names = kind.numbers[:MOST_NUMBERS]
    axis.barh(names[::-1], sight.inputs[name][: len(names)][::-1].clip(-BOUND, BOUND))
    axis.set_xlim(-BOUND, BOUND)
    axis.set_xlabel("standard deviations from training's mean", fontsize=7)
    axis.tick_params(labelsize=7)
    return f"numbers of {name} in standard deviations from training's mean"


def coarse(image: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row column"]:
    """Return means over blocks, no more than LARGEST along the longer side."""
    return np.asarray(Picture.fromarray(image.astype(np.float32)).reduce(-(-max(image.shape) // LARGEST)))
