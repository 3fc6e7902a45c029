"""Per-channel standardisation, fitted on the training split only."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from i2m2_med.samples.columns import encoded, fit_columns

State = dict[str, Any]
"""By modality: {"mean": [channel], "std": [channel]} of finite training values; the last axis is the channel. Of columns with
categories also "levels": by column the words (as numbers, samples/columns.py) that are told apart, None for a number."""


def fit(
    arrays: Mapping[str, np.ndarray],
    train: np.ndarray,
    how: Mapping[str, str],
    columns: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> State:
    """Mean and standard deviation per channel over the finite values of the training rows; a constant channel gets std 1.

    columns: as a `Source` declares them; they are standardised always.
    """
    state: State = {name: fit_columns(arrays[name][train], *shape) for name, shape in columns.items()}
    for name, kind in how.items():
        if kind == "standard":
            values = np.asarray(arrays[name][train], dtype=np.float64).reshape(-1, arrays[name].shape[-1])
            seen = np.isfinite(values)
            count = np.maximum(seen.sum(axis=0), 1)
            mean = np.where(seen, values, 0).sum(axis=0) / count
            std = np.sqrt(np.where(seen, (values - mean) ** 2, 0).sum(axis=0) / count)
            state[name] = {"mean": mean.tolist(), "std": np.where(std > 0, std, 1.0).tolist()}
    return state


def apply(name: str, array: np.ndarray, state: State) -> np.ndarray:
    """Standardise one modality's rows in float32; what is missing in a row that is there becomes the mean, 0.

    A row in which nothing was acquired stays NaN: it is absent, not average.
    """
    if name not in state:
        return array
    if "levels" in state[name]:
        return encoded(array, state[name])
    mean, std = (np.asarray(state[name][key], dtype=np.float64) for key in ("mean", "std"))
    scaled = ((array - mean) / std).astype(np.float32)
    absent = ~np.isfinite(scaled).reshape(len(scaled), -1).any(axis=1)
    scaled[~np.isfinite(scaled)] = 0.0
    scaled[absent] = np.nan
    return scaled
