"""From slices to volumes and patients: one row per study (or patient), label and class, out of a prediction table; and their own
calibration, on validation."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import expit

from i2m2_med.pooling import pooled
from i2m2_med.report.statistics.calibration import FURTHEST, calibration_line
from i2m2_med.report.statistics.table import Predictions, log_odds, read_predictions

How = Literal["max", "mean", "noisy_or"]
ENOUGH = 20
"""Validation patients of either class of a label: ten for each of the line's two numbers."""


def by_volume(table: pd.DataFrame, how: How, level: Literal["study", "patient"] = "study") -> pd.DataFrame:
    """A prediction table of slices → one of volumes or patients, of the same schema, with `items` slices counted.

    `target` is the largest class of any slice; unknown (-1) where no slice has a finding and one is unknown.
    """
    slices = read_predictions(table)
    keys = (slices.samples[level].astype(str) + slices.samples["fold"].astype(str).radd(" fold ")).to_numpy(dtype=str)
    rows = [_one(slices.take(np.flatnonzero(keys == key)), how) for key in dict.fromkeys(keys)]
    return pd.concat(rows, ignore_index=True)


def recalibrated(
    valid: pd.DataFrame, volumes: pd.DataFrame, how: How, level: Literal["study", "patient"] = "study"
) -> tuple[pd.DataFrame, str]:
    """Volumes or patients with p on the line of log-odds that validation's, put together alike, lie on (Platt); or as they are, and why.

    valid: slices of the validation split. volumes: of `by_volume`, of the split that is judged. Of two classes; order is kept.
    """
    if not len(valid):
        return volumes, "there is no validation split"
    own = read_predictions(by_volume(valid, how, level))
    if len(own.classes) != 2:
        return volumes, "only two classes can be calibrated anew"
    p = volumes["p"].to_numpy(dtype=np.float64, copy=True)
    for at, label in enumerate(own.labels):
        known = (own.target[:, at] >= 0) & own.answered
        positive, patient = own.target[known, at] == 1, own.patient[known]
        fewest = min(len(np.unique(patient[rows])) for rows in (positive, ~positive))
        if fewest < ENOUGH:
            return volumes, f"the rarer class of {label} has {fewest} patients of validation, and it takes {ENOUGH}"
        line = calibration_line(log_odds(own.p[known, at])[:, 1], positive, patient)
        if not line.slope > 0:
            return volumes, f"the calibration line of {label} can't be told on validation"
        rows = np.flatnonzero(volumes["label"] == label)
        score = np.clip(log_odds(p[rows].reshape(-1, 2))[:, 1], -FURTHEST, FURTHEST)
        sick = expit(line.intercept + line.slope * score)
        p[rows] = np.stack([1 - sick, sick], axis=1).ravel()
    return volumes.assign(p=p), ""


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
            "fold": first["fold"],
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
