"""Experts' log-probabilities re-tempered on validation: one scale per expert and one offset per class, so that what is
compared between conditions is information, and not how sure a model happens to be or whom it happens to trust.

Of many classes only those with a place are known: there is one scale per expert and no offset, and the last place stands for all
other classes, which are taken to share its mass evenly (`retempered_places`).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize
from scipy.special import log_softmax

from i2m2_med.report.statistics.table import Predictions

RIDGE = 0.05
"""Pull of log scales and offsets towards zero, in nats: a stronger one keeps few samples from silencing an expert of shuffled inputs."""
LEAST = -60.0

LogRows = Float[np.ndarray, "sample classes"]
Stack = Float[np.ndarray, "expert sample classes"]


def heard(predictions: Predictions, label: int) -> dict[str, LogRows]:
    """Each expert's log-probabilities of one label; zero where it was absent. The model's own, where it names no experts."""
    experts = predictions.experts or {"model": model_p(predictions)}
    with np.errstate(divide="ignore"):
        logs = {name: np.log(p[:, label]) for name, p in experts.items()}
    return {name: np.maximum(np.nan_to_num(log_p, nan=0.0), LEAST) for name, log_p in logs.items()}


def model_p(predictions: Predictions) -> Float[np.ndarray, "sample label classes"]:
    """The model's own probabilities; of many classes with one place more, for those without a place, as experts have."""
    if predictions.places is None:
        return predictions.p
    return np.concatenate([predictions.p, predictions.places.rest[..., None]], axis=2)


def loss_of(
    predictions: Predictions, label: int, stack: Stack, fit: Bool[np.ndarray, "sample"] | None = None
) -> Float[np.ndarray, "sample"]:
    """−log p(target) of the re-tempered product of some log-probabilities (of `heard`); fitted on validation where not said."""
    fitted = validation(predictions) if fit is None else fit

    def of_part(part: Predictions, rows: np.ndarray) -> np.ndarray:
        target = part.target[:, label]
        if part.places is None:
            return loss(retemper(stack[:, rows], target, fitted[rows]), target)
        return loss(retempered_places(stack[:, rows], part.places.left[:, label], target, fitted[rows]), target)

    return by_fold(predictions, of_part)


def prior_loss_of(
    predictions: Predictions, label: int, fit: Bool[np.ndarray, "sample"] | None = None
) -> Float[np.ndarray, "sample"]:
    """The same for who knows the class shares only."""
    fitted = validation(predictions) if fit is None else fit

    def of_part(part: Predictions, rows: np.ndarray) -> np.ndarray:
        truth, classes = part.truth[:, label], part.p.shape[2] if part.places is None else part.places.n_classes
        counts = np.bincount(truth[fitted[rows] & (truth >= 0)], minlength=classes) + 1.0
        shares = np.log(counts / counts.sum())
        return np.where(truth >= 0, -shares[np.maximum(truth, 0)], np.nan)

    return by_fold(predictions, of_part)


def by_fold(predictions: Predictions, of_part: Callable[[Predictions, np.ndarray], np.ndarray]) -> np.ndarray:
    """`of_part` of the samples of each fold (and which they are), put back into their order: each has a validation of its own."""
    parts = [predictions.fold == fold for fold in np.unique(predictions.fold)]
    made = [of_part(predictions.take(rows) if len(parts) > 1 else predictions, rows) for rows in parts]
    whole = np.empty((len(predictions.fold), *made[0].shape[1:]))
    for rows, values in zip(parts, made, strict=True):
        whole[rows] = values
    return whole


def validation(predictions: Predictions) -> Bool[np.ndarray, "sample"]:
    """Which samples are of the validation split."""
    return predictions.samples["split"].to_numpy(dtype=str) == "valid"


def retempered_places(
    stack: Stack, left: Int[np.ndarray, "sample"], target: Int[np.ndarray, "sample"], fit: Bool[np.ndarray, "sample"]
) -> LogRows:
    """log of Πₑ pₑ^scaleₑ, normalised over places and over `left` classes that share the last place's mass evenly."""
    each = np.log(np.maximum(left, 1.0))
    by_class = stack.copy()
    by_class[:, :, -1] -= each
    rows = fit & (target >= 0)

    def log_p(at: np.ndarray, some: np.ndarray) -> LogRows:
        logs = np.tensordot(np.exp(at), by_class[:, some], axes=1)
        logs[:, -1] += each[some]
        return log_softmax(logs, axis=-1)

    def cost(at: np.ndarray) -> float:
        picked = log_p(at, rows)[np.arange(int(rows.sum())), target[rows]]
        return -float(picked.sum()) + RIDGE * float(at @ at)

    start = np.zeros(len(stack))
    best = minimize(cost, start, method="L-BFGS-B", bounds=[(-6.0, 3.0)] * len(stack)).x if rows.any() else start
    return log_p(best, np.ones(len(target), dtype=bool))


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


def loss(log_p: LogRows, target: Int[np.ndarray, "sample"]) -> Float[np.ndarray, "sample"]:
    """−log p(target) in nats; NaN where the target is unknown."""
    picked = -log_p[np.arange(len(target)), np.maximum(target, 0)]
    return np.where(target >= 0, picked, np.nan)
