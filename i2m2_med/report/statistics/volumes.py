"""From slices to volumes and patients: one row per study (or patient), label and class, out of a prediction table."""

from typing import Any, Literal

import numpy as np
import pandas as pd

from i2m2_med.pooling import pooled
from i2m2_med.report.statistics.table import Predictions, read_predictions

How = Literal["max", "mean", "noisy_or"]


def by_volume(table: pd.DataFrame, how: How, level: Literal["study", "patient"] = "study") -> pd.DataFrame:
    """A prediction table of slices → one of volumes or patients, of the same schema, with `items` slices counted.

    `target` is the largest class of any slice; unknown (-1) where no slice has a finding and one is unknown.
    """
    slices = read_predictions(table)
    keys = slices.samples[level].to_numpy(dtype=str)
    rows = [_one(slices.take(np.flatnonzero(keys == key)), how) for key in dict.fromkeys(keys)]
    return pd.concat(rows, ignore_index=True)


def pooled_target(target: np.ndarray) -> np.ndarray:
    """(slice, label) class numbers → (label,)."""
    largest = target.max(axis=0)
    return np.where((largest <= 0) & (target < 0).any(axis=0), -1, largest)


def _one(slices: Predictions, how: How) -> pd.DataFrame:
    """The rows of one volume or patient."""
    first: Any = slices.samples.iloc[0]
    names = [(label, cls) for label in slices.labels for cls in range(len(slices.classes))]
    patterns = sorted(set(slices.samples["pattern"]))
    expert_columns = {f"p_{name}": pooled(p, how).ravel() for name, p in slices.experts.items()}
    groups = {name: first[name] for name in slices.samples.columns if str(name).startswith("group_")}
    p = pooled(slices.p, how).ravel()
    return pd.DataFrame(
        {
            "patient": first["patient"],
            "study": first["study"],
            "item": np.nan,
            "level": "study",
            "items": int(slices.answered.sum()),
            "split": first["split"],
            "label": [label for label, _ in names],
            "class": [cls for _, cls in names],
            "p": p,
            **expert_columns,
            "target": np.repeat(pooled_target(slices.target), len(slices.classes)),
            "pattern": patterns[0] if len(patterns) == 1 else "mixed",
            "status": "ok" if np.isfinite(p).all() else "refused",
            **groups,
        }
    )
