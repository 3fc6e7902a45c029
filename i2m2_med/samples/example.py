"""How one sample is drawn for reports, as its model saw it.

A data set names a module (`Source.drawn_by`) with `draw_example(source, sight, figure) -> Told`: it draws onto an empty Matplotlib
figure of 7.5 × 2.6 inches (`figure.set_figheight` for more) and says what is drawn. Neither picture nor words may hold a name, a
date, or a clinical note. That data are simulated is written onto the picture by the caller.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from i2m2_med.samples.pictures import Place, draw_image

MOST_CHANNELS = 6


class Look(NamedTuple):
    """An image that an expert reads, and where it looks in it."""

    image: Float[np.ndarray, "channel *space"]
    """The first of those that it reads."""
    saliency: Float[np.ndarray, "*space"]
    """≥ 0, no unit; 0 throughout where nothing in the image speaks for the class."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """A sample as a model reads it, and where each of its experts looks."""

    record: Mapping[str, Any]
    """Its row of the prepared records, private columns too."""
    inputs: Mapping[str, np.ndarray]
    """By modality that the model reads and the sample has: the tensor, standardised where the config asks for it."""
    arrays: Mapping[str, np.ndarray]
    """By modality of the source's arrays: the sample's row as it was prepared, NaN where nothing was measured."""
    looks: Mapping[str, Look]
    """By expert that reads images of one size, and nothing else: where it looks."""


class Told(NamedTuple):
    """What was drawn, in words."""

    alt: str
    """For who can't see it: what is shown beside what."""
    text: str = ""
    """The sample's own words, such as a question; only of data sets that are public."""


def draw_looks(
    axes: Sequence[Axes], sight: Sight, place: Place, shrunk: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> list[str]:
    """Draw in each of `axes` where an expert looks, over its image in grey; return what each is, in words. shrunk: of a plane."""
    for axis, (name, look) in zip(axes, sight.looks.items(), strict=True):
        heat = look.saliency
        at = int(heat.sum(axis=(0, 1)).argmax()) if heat.ndim == 3 else None
        image, heat = shrunk(plane(look.image, at)), shrunk(plane(heat[None], at))
        draw_image(axis, image, place, cmap="gray", vmin=image.min(), vmax=max(np.quantile(image, 0.995), 1e-12))
        share = heat / max(heat.max(), 1e-12)
        axis.imshow(share, cmap="inferno", alpha=0.7 * share, origin=axis.images[0].origin, aspect=axis.get_aspect())
        axis.set_title(f"where {name} looks", fontsize=8)
    return [f"where the expert {name} looks" for name in sight.looks]


def plane(image: Float[np.ndarray, "channel *space"], at: int | None = None) -> Float[np.ndarray, "row column"]:
    """Return the first channel; of a volume the plane `at` of its last axis (the middle one where not said), rows along the second."""
    if image.ndim == 3:
        return image[0]
    return image[0, :, :, image.shape[3] // 2 if at is None else at].T[::-1]


def draw_series(axes: Axes, values: Float[np.ndarray, "bin channel"], names: Sequence[str], hours: float = 1) -> str:
    """Draw the channels that were measured most often, each in its own range; return their names and ranges, in words.

    values: NaN where nothing was measured; hours: of a bin. They are counted from the series' start: no time of day, no date.
    """
    counts = np.isfinite(values).sum(axis=0)
    chosen = [at for at in np.argsort(-counts, kind="stable")[:MOST_CHANNELS] if counts[at]]
    words: list[str] = []
    for line, at in enumerate(chosen):
        one = values[:, at]
        low, high = np.nanmin(one), np.nanmax(one)
        words.append(f"{names[at]} {low:.3g} to {high:.3g}")
        share = (one - low) / max(high - low, 1e-12)
        axes.plot(hours * np.arange(len(one)), 0.8 * share - line, ".-", ms=4, lw=0.8)
    axes.set_yticks([0.4 - line for line in range(len(words))], words, fontsize=7)
    axes.set_xlabel("hours", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    return "; ".join(words)
