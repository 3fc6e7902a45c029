"""Samples of noise in the shapes of real ones: what a step costs does not depend on what is in them."""

import numpy as np
import polars as pl

from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels


def slices(count: int, side: int, labels: Labels) -> Samples:
    """Magnitude and phase in the shape of knee slices, `side` pixels wide and high, in memory."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(count, 1, side, side)).astype(np.float32) for name in ("magnitude", "phase")}
    columns = {f"label_{name}": rng.integers(0, 2, count) for name in labels.names}
    return Samples(pl.DataFrame(columns), labels, ["magnitude", "phase"], arrays)
