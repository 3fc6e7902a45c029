"""Contradiction between the experts of a model: the Jensen–Shannon divergence of their probabilities per sample."""

import numpy as np
from jaxtyping import Float


def jensen_shannon(p: Float[np.ndarray, "expert sample classes"]) -> Float[np.ndarray, "sample"]:
    """H(mean p) − mean H(p) over the experts that are there (not NaN), in nats; NaN where fewer than two are.

    0: they agree; ln 2: two experts are sure of different classes.
    """
    heard = np.asarray(np.isfinite(p).all(axis=2))
    count = heard.sum(axis=0)
    kept = np.where(heard[:, :, None], p, 0.0)
    divisor = np.maximum(count, 1)
    mean = kept.sum(axis=0) / divisor[:, None]
    divergence = _entropy(mean) - _entropy(kept).sum(axis=0) / divisor
    return np.where(count >= 2, np.maximum(divergence, 0.0), np.nan)


def _entropy(p: np.ndarray) -> np.ndarray:
    return -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=-1)
