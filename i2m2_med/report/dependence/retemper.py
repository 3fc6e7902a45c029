"""Experts' log-probabilities re-tempered on validation: one scale per expert and one offset per class, so that what is
compared between conditions is information, and not how sure a model happens to be or whom it happens to trust."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize
from scipy.special import log_softmax

from i2m2_med.report.statistics.table import Predictions

RIDGE = 0.5
"""Pull of log scales and offsets towards zero, in nats."""
LEAST = -60.0

LogRows = Float[np.ndarray, "sample classes"]
Stack = Float[np.ndarray, "expert sample classes"]


def heard(predictions: Predictions, label: int) -> dict[str, LogRows]:
    """Each expert's log-probabilities of one label; zero where it was absent. The model's own, where it names no experts."""
    experts = predictions.experts or {"model": predictions.p}
    with np.errstate(divide="ignore"):
        logs = {name: np.log(p[:, label]) for name, p in experts.items()}
    return {name: np.maximum(np.nan_to_num(log_p, nan=0.0), LEAST) for name, log_p in logs.items()}


def retemper(stack: Stack, target: Int[np.ndarray, "sample"], fit: Bool[np.ndarray, "sample"]) -> LogRows:
    """log softmax(Σₑ scaleₑ · log pₑ + offset), scales ≥ 0, fitted where `fit` and the target is known (else scales of one)."""
    rows = fit & (target >= 0)
    if not rows.any():
        return log_softmax(stack.sum(axis=0), axis=-1)
    known, truth = stack[:, rows], target[rows]
    index, experts = np.arange(len(truth)), len(stack)

    def cost(at: np.ndarray) -> tuple[float, np.ndarray]:
        scale = np.exp(at[:experts])
        log_probs = log_softmax(np.tensordot(scale, known, axes=1) + at[experts:], axis=-1)
        slope = np.exp(log_probs)
        slope[index, truth] -= 1
        gradient = np.concatenate([scale * np.tensordot(known, slope, axes=2), slope.sum(axis=0)])
        return -float(log_probs[index, truth].sum()) + RIDGE * float(at @ at), gradient + 2 * RIDGE * at

    classes = stack.shape[2]
    bounds = [(-6.0, 3.0)] * experts + [(-15.0, 15.0)] * classes
    best = minimize(cost, np.zeros(experts + classes), jac=True, method="L-BFGS-B", bounds=bounds).x
    return log_softmax(np.tensordot(np.exp(best[:experts]), stack, axes=1) + best[experts:], axis=-1)


def prior_log_p(target: Int[np.ndarray, "sample"], fit: Bool[np.ndarray, "sample"], classes: int) -> LogRows:
    """The class shares where `fit` (each class counted once more than seen), for every sample: what is known without input."""
    counts = np.bincount(target[fit & (target >= 0)], minlength=classes) + 1.0
    return np.repeat(np.log(counts / counts.sum())[None], len(target), axis=0)


def loss(log_p: LogRows, target: Int[np.ndarray, "sample"]) -> Float[np.ndarray, "sample"]:
    """−log p(target) in nats; NaN where the target is unknown."""
    picked = -log_p[np.arange(len(target)), np.maximum(target, 0)]
    return np.where(target >= 0, picked, np.nan)
