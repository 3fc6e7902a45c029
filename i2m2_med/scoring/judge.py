"""What calibration makes of a study's answers: probabilities, conformal sets, decisions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from i2m2_med.engine.calibrate import SMALLEST_P, calibrate, set_names
from i2m2_med.scoring.volumes import pooled


@dataclass(frozen=True)
class Judged:
    """Answers about items, or about a study as a whole."""

    p: Float[np.ndarray, "item label classes"]
    raw: Float[np.ndarray, "item label classes"]
    """Before calibration."""
    experts: Float[np.ndarray, "expert item label classes"]
    """NaN where an expert was absent."""
    calibrated: Bool[np.ndarray, "item"]
    sets: Shaped[np.ndarray, "item label"]
    """Classes of the class-conditional conformal set, '+'-joined; None where there is none."""
    split_sets: Shaped[np.ndarray, "item label"]
    decision: Shaped[np.ndarray, "item label"]
    """The class decided on, as text; None where no operating point was validated."""


def judge(raw: np.ndarray, experts: np.ndarray, patterns: list[str], calibration: dict[str, Any]) -> Judged:
    """Calibrate answers, by the modalities that each item has (`patterns`)."""
    if not calibration:
        nothing = np.full(raw.shape[:2], None, dtype=object)
        return Judged(raw, raw, experts, np.zeros(len(raw), dtype=bool), nothing, nothing, nothing)
    made = calibrate(np.log(np.maximum(raw, SMALLEST_P)), patterns, calibration)
    decision = made.decision.astype(str).astype(object)
    return Judged(made.p, raw, experts, made.calibrated, set_names(made.sets), set_names(made.split_sets), decision)


def judge_whole(items: Judged, how: str) -> Judged:
    """The study as a whole. Sets and calibration hold for items only; the decision of `max` is that of any item."""
    nothing = np.full((1, items.p.shape[1]), None, dtype=object)
    decision = nothing
    if how == "max" and items.decision[0, 0] is not None:
        decision = items.decision.astype(int).max(axis=0, keepdims=True).astype(str).astype(object)
    experts = np.stack([pooled(p, how) for p in items.experts])
    return Judged(
        pooled(items.p, how),
        pooled(items.raw, how),
        experts,
        np.zeros(1, dtype=bool),
        nothing,
        nothing,
        decision,
    )
