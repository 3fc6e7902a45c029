"""Conformal sets by patient: classes whose probability is not too small, with a coverage that holds for a new patient.

The thresholds are quantiles by patient (`quantiles.py`). With one sample per patient this is split conformal; fitted on the
samples of each class apart it is class-conditional.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from i2m2_med.quantiles import quantile_by_patient

Probabilities = Float[np.ndarray, "sample label classes"]


def fit_conformal(
    p: Probabilities, target: Int[np.ndarray, "sample label"], patient: Int[np.ndarray, "sample"], alpha: float
) -> dict[str, Any]:
    """Thresholds on 1 − p(true class): `split` (label) and `by_class` (label, classes); None where every class is in the set."""
    split: list[float | None] = []
    by_class: list[list[float | None]] = []
    for label in range(p.shape[1]):
        known = target[:, label] >= 0
        truth, who = target[known, label], patient[known]
        score = 1 - p[known, label][np.arange(len(truth)), truth]
        split.append(quantile_by_patient(score, who, alpha))
        each = [truth == one for one in range(p.shape[2])]
        by_class.append([quantile_by_patient(score[rows], who[rows], alpha) for rows in each])
    return {"alpha": alpha, "split": split, "by_class": by_class}


def conformal_sets(
    p: Probabilities, limits: list[float | None] | list[list[float | None]]
) -> Bool[np.ndarray, "sample label classes"]:
    """Which classes are in each sample's set. limits: one per label, or one per label and class; None lets all in."""
    limit = np.array(limits, dtype=np.float64)  # None becomes NaN
    limit = limit[:, None] if limit.ndim == 1 else limit
    return 1 - p <= np.where(np.isnan(limit), np.inf, limit) + 1e-12
