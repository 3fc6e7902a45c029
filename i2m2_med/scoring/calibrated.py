"""Calibrated predictions of a study: probabilities, conformal sets, decisions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from i2m2_med.engine.calibration.calibrate import SMALLEST_P, Calibrated, calibrate
from i2m2_med.pooling import pooled


@dataclass(frozen=True)
class CalibratedPredictions(Calibrated):
    """Predictions for items, or for a study as a whole, calibrated and as the model made them."""

    raw: Float[np.ndarray, "item label classes"]
    """Before calibration."""
    experts: Float[np.ndarray, "expert item label classes"]
    """NaN where an expert was absent."""


def calibrate_items(
    raw: np.ndarray, experts: np.ndarray, patterns: list[str], calibration: dict[str, Any]
) -> CalibratedPredictions:
    """Calibrate predictions (item, label, class) by the modalities that each item has (`patterns`)."""
    if not calibration:
        nothing = np.full(raw.shape[:2], None, dtype=object)
        return CalibratedPredictions(raw, np.zeros(len(raw), dtype=bool), nothing, nothing, nothing, raw, experts)
    made = calibrate(np.log(np.maximum(raw, SMALLEST_P)), patterns, calibration)
    return CalibratedPredictions(**vars(made), raw=raw, experts=experts)


def pool_items(items: CalibratedPredictions, how: str) -> CalibratedPredictions:
    """Pool items into the study as a whole. Sets and calibration hold for items only; the decision of `max` is that of any item."""
    nothing = np.full((1, items.p.shape[1]), None, dtype=object)
    decision = nothing
    if how == "max" and items.decision[0, 0] is not None:
        decision = items.decision.astype(int).max(axis=0, keepdims=True).astype(str).astype(object)
    return CalibratedPredictions(
        p=pooled(items.p, how)[None],
        calibrated=np.zeros(1, dtype=bool),
        sets=nothing,
        split_sets=nothing,
        decision=decision,
        raw=pooled(items.raw, how)[None],
        experts=np.stack([pooled(p, how)[None] for p in items.experts]),
    )
