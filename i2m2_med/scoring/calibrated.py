"""What calibration makes of a study's answers: probabilities, conformal sets, decisions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from i2m2_med.engine.calibration.calibrate import SMALLEST_P, Calibrated, calibrate
from i2m2_med.pooling import pooled


@dataclass(frozen=True)
class Judged(Calibrated):
    """Answers about items, or about a study as a whole, calibrated and as they were."""

    raw: Float[np.ndarray, "item label classes"]
    """Before calibration."""
    experts: Float[np.ndarray, "expert item label classes"]
    """NaN where an expert was absent."""


def judge(raw: np.ndarray, experts: np.ndarray, patterns: list[str], calibration: dict[str, Any]) -> Judged:
    """Calibrate answers, by the modalities that each item has (`patterns`)."""
    if not calibration:
        nothing = np.full(raw.shape[:2], None, dtype=object)
        return Judged(raw, np.zeros(len(raw), dtype=bool), nothing, nothing, nothing, raw, experts)
    made = calibrate(np.log(np.maximum(raw, SMALLEST_P)), patterns, calibration)
    return Judged(**vars(made), raw=raw, experts=experts)


def judge_whole(items: Judged, how: str) -> Judged:
    """The study as a whole. Sets and calibration hold for items only; the decision of `max` is that of any item."""
    nothing = np.full((1, items.p.shape[1]), None, dtype=object)
    decision = nothing
    if how == "max" and items.decision[0, 0] is not None:
        decision = items.decision.astype(int).max(axis=0, keepdims=True).astype(str).astype(object)
    return Judged(
        p=pooled(items.p, how)[None],
        calibrated=np.zeros(1, dtype=bool),
        sets=nothing,
        split_sets=nothing,
        decision=decision,
        raw=pooled(items.raw, how)[None],
        experts=np.stack([pooled(p, how)[None] for p in items.experts]),
    )
