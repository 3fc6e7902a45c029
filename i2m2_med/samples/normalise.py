"""Per-channel standardisation, fitted on the training split only."""

from collections.abc import Mapping
from typing import Any

import numpy as np

State = dict[str, Any]
"""By modality: {"mean": [channel], "std": [channel]} of finite training values; the last axis is the channel."""


def fit(arrays: Mapping[str, np.ndarray], train: np.ndarray, how: Mapping[str, str]) -> State:
    """Mean and standard deviation per channel over the finite values of the training rows; a constant channel gets std 1."""
    state: State = {}
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
    mean, std = (np.asarray(state[name][key], dtype=np.float64) for key in ("mean", "std"))
    scaled = ((array - mean) / std).astype(np.float32)
    absent = ~np.isfinite(scaled).reshape(len(scaled), -1).any(axis=1)
    scaled[~np.isfinite(scaled)] = 0.0
    scaled[absent] = np.nan
    return scaled
