"""Predictions for the slices of a volume, put together for the volume (or patient) as a whole.

Class 0 is "absent". Of slices s with probabilities p_s:

    mean      p = mean_s p_s
    max       p_c = max_s p_s,c for each finding c ≥ 1, absent what is left, each row made to sum to one
    noisy_or  p_0 = Π_s p_s,0 (absent only if absent in every slice, slices taken as independent), findings share the rest
              as they do on average

A slice that is NaN (refused, or an expert that was absent) does not count.
"""

import numpy as np
from jaxtyping import Float


def pooled(p: Float[np.ndarray, "slice label classes"], how: str) -> Float[np.ndarray, "label classes"]:
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
        others = mean[:, 1:]
        findings = others / np.maximum(others.sum(axis=-1, keepdims=True), np.finfo(float).tiny) * (1 - absent)
    whole = np.concatenate([absent, findings], axis=-1)
    return whole / whole.sum(axis=-1, keepdims=True)
