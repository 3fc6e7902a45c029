"""A stay for reports: the channels that were measured most often, over the hours since its start. No note, no date."""

from typing import Any

import numpy as np

from i2m2_med.drawing import Figure
from i2m2_med.samples.example import Sight, Told, draw_series
from i2m2_med.sources.mimic3.grid import channel_names


def draw_example(source: Any, sight: Sight, figure: Figure) -> Told:
    """Draw the values (not how long ago they were measured) of a stay's series. source: a `mimic3.Source`."""
    names = channel_names(source.settings)
    values = np.asarray(sight.arrays["series"], dtype=np.float64)
    kept = [at for at, name in enumerate(names) if not name.endswith(("_mask", "_since"))]
    words = draw_series(
        figure.subplots(), values[:, kept], [names[at] for at in kept], hours=float(source.settings.bin_hours)
    )
    return Told(f"values over the hours of a stay: {words}" if words else "a stay without a measurement")
