"""From slices to volumes and patients: one row per study (or patient), label and class, out of a prediction table; and their own
calibration, on validation."""

from typing import Any, Literal

import numpy as np
import pandas as pd

from i2m2_med.engine.calibration.calibrate import calibrate_table, fit_calibration
from i2m2_med.pooling import pooled
from i2m2_med.report.statistics.table import Predictions, read_predictions

How = Literal["max", "mean", "noisy_or"]
ENOUGH = 10
"""Validation patients of either class of a label, without whom calibrating volumes costs more than it mends."""


def by_volume(table: pd.DataFrame, how: How, level: Literal["study", "patient"] = "study") -> pd.DataFrame:
    """A prediction table of slices → one of volumes or patients, of the same schema, with `items` slices counted.

    `target` is the largest class of any slice; unknown (-1) where no slice has a finding and one is unknown.
    """
    slices = read_predictions(table)
    keys = slices.samples[level].to_numpy(dtype=str)
    rows = [_one(slices.take(np.flatnonzero(keys == key)), how) for key in dict.fromkeys(keys)]
    return pd.concat(rows, ignore_index=True)


def recalibrated(
    valid: pd.DataFrame, volumes: pd.DataFrame, how: How, level: Literal["study", "patient"] = "study"
) -> tuple[pd.DataFrame, str]:
    """Volumes or patients with p calibrated on validation's, put together alike; or as they are, and why.

    valid: slices of the validation split. volumes: of `by_volume`, of the split that is judged. Patterns are put together: a volume
    of slices that lack different modalities is `mixed`.
    """
    if not len(valid):
        return volumes, "there is no validation split"
    own = by_volume(valid, how, level).assign(pattern="any")
    fewest, label = _fewest(own)
    if fewest < ENOUGH:
        return volumes, f"validation has {fewest} patients of one class of {label}, fewer than {ENOUGH}"
    mended = calibrate_table(volumes.assign(pattern="any"), fit_calibration(own))
    return mended[volumes.columns].assign(pattern=volumes["pattern"]), ""


def _fewest(volumes: pd.DataFrame) -> tuple[int, str]:
    """The smallest number of patients of one class of one label, and that label."""
    once = volumes[(volumes["class"] == 0) & (volumes["target"] >= 0) & volumes["p"].notna()]
    classes = range(int(volumes["class"].max()) + 1)
    counts = {
        (str(label), cls): int(rows.loc[rows["target"] == cls, "patient"].nunique())
        for label, rows in once.groupby("label", sort=False)
        for cls in classes
    }
    least = min(counts, key=lambda key: counts[key])
    return counts[least], least[0]


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
