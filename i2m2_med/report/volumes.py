"""From slices to volumes and patients: one row per study (or patient), label and class, out of a prediction table.

Class 0 is "absent". Of slices s with probabilities p_s:

    mean      p = mean_s p_s
    max       p_c = max_s p_s,c for each finding c ≥ 1, absent what is left, each row made to sum to one
    noisy_or  p_0 = Π_s p_s,0 (absent only if absent in every slice, slices taken as independent), findings share the rest
              as they do on average

A slice that was refused, and an expert where it was absent, does not count.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from i2m2_med.report.table import Predictions, read_predictions

How = Literal["max", "mean", "noisy_or"]
Slices = Float[np.ndarray, "slice label classes"]
Whole = Float[np.ndarray, "label classes"]


def by_volume(table: pd.DataFrame, how: How, level: Literal["study", "patient"] = "study") -> pd.DataFrame:
    """A prediction table of slices → one of volumes or patients, of the same schema, with `items` slices counted.

    `target` is the largest class of any slice; unknown (-1) where no slice has a finding and one is unknown.
    """
    slices = read_predictions(table)
    keys = slices.samples[level].to_numpy(dtype=str)
    rows = [_one(slices.take(np.flatnonzero(keys == key)), how) for key in dict.fromkeys(keys)]
    return pd.concat(rows, ignore_index=True)


def pooled(p: Slices, how: How) -> Whole:
    """The slices' probabilities put together; NaN where no slice has any."""
    p = p[np.isfinite(p).all(axis=(1, 2))]
    if not len(p):
        return np.full(p.shape[1:], np.nan)
    mean = p.mean(axis=0)
    if how == "mean":
        return mean
    if how == "max":
        findings = p[:, :, 1:].max(axis=0)
        absent = np.maximum(1 - findings.sum(axis=-1, keepdims=True), 0)
    else:
        absent = p[:, :, :1].prod(axis=0)
        findings = (
            mean[:, 1:] / np.maximum(mean[:, 1:].sum(axis=-1, keepdims=True), np.finfo(float).tiny) * (1 - absent)
        )
    whole = np.concatenate([absent, findings], axis=-1)
    return whole / whole.sum(axis=-1, keepdims=True)


def pooled_target(target: np.ndarray) -> np.ndarray:
    """(slice, label) class numbers → (label,)."""
    largest = target.max(axis=0)
    return np.where((largest <= 0) & (target < 0).any(axis=0), -1, largest)


def _one(slices: Predictions, how: How) -> pd.DataFrame:
    """The rows of one volume or patient."""
    first: Any = slices.samples.iloc[0]
    names = [(label, cls) for label in slices.labels for cls in slices.classes]
    patterns = sorted(set(slices.samples["pattern"]))
    said = {f"p_{name}": pooled(p, how).ravel() for name, p in slices.experts.items()}
    groups = {name: first[name] for name in slices.samples.columns if str(name).startswith("group_")}
    p = pooled(slices.p, how).ravel()
    return pd.DataFrame(
        {
            "patient": first["patient"],
            "study": first["study"],
            "item": 0,
            "items": int(slices.answered.sum()),
            "split": first["split"],
            "label": [label for label, _ in names],
            "class": [cls for _, cls in names],
            "p": p,
            **said,
            "target": np.repeat(pooled_target(slices.target), len(slices.classes)),
            "pattern": patterns[0] if len(patterns) == 1 else "mixed",
            "status": "ok" if np.isfinite(p).all() else "refused",
            **groups,
        }
    )
