"""What is said about the items (slices) of a study, put together for the study as a whole."""

import numpy as np
from jaxtyping import Float

Probabilities = Float[np.ndarray, "item label classes"]


def pooled(p: Probabilities, how: str) -> Float[np.ndarray, "1 label classes"]:
    """One answer of many, each row summing to one; class 0 is `absent`. Items that are NaN (unheard) don't count.

    mean: of probabilities. max: of each class but the first. noisy_or: absent only if absent in every item, the other
    classes by their mean share.
    """
    p = p[~np.isnan(p).any(axis=(1, 2))]
    if not len(p):
        return np.full((1, *p.shape[1:]), np.nan)
    found = p.mean(axis=0, keepdims=True)
    if how == "max":
        most = p[:, :, 1:].max(axis=0, keepdims=True)
        found = np.concatenate([np.maximum(1 - most.sum(axis=-1, keepdims=True), 0), most], axis=-1)
    elif how == "noisy_or":
        absent = p[:, :, :1].prod(axis=0, keepdims=True)
        others = found[:, :, 1:]
        share = others / np.maximum(others.sum(axis=-1, keepdims=True), 1e-300)
        found = np.concatenate([absent, (1 - absent) * share], axis=-1)
    return found / found.sum(axis=-1, keepdims=True)
