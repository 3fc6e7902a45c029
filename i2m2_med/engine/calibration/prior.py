"""Probabilities for another population: `evaluation.prior` names its class shares, validation those that training met."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import log_softmax

from i2m2_med.config.run import nearest
from i2m2_med.errors import ConfigError
from i2m2_med.predictions import MANY
from i2m2_med.sources.source import Labels

Shares = Float[np.ndarray, "label classes"]


def mend_prior(
    log_probs: Float[np.ndarray, "sample label classes"], was: Shares, will_be: Shares
) -> Float[np.ndarray, "sample label classes"]:
    """Log-probabilities for a population whose class shares are `will_be` where training had `was` (Saerens et al. 2002)."""
    return log_softmax(log_probs + np.log(will_be) - np.log(was), axis=-1)


def fit_prior(
    target: Int[np.ndarray, "sample label"], classes: int, names: Sequence[str], wanted: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """`was` and `will_be` (label, classes) as plain values; a label that is not wanted stays as it was.

    target: of validation samples, on which the probabilities were calibrated. A class that they lack counts half a sample.
    """
    was: list[list[float]] = []
    for at in range(target.shape[1]):
        known = target[target[:, at] >= 0, at]
        counts = np.maximum(np.bincount(known, minlength=classes), 0.5)
        was.append((counts / counts.sum()).tolist())
    return {"was": was, "will_be": [list(wanted.get(name, was[at])) for at, name in enumerate(names)]}


def check_prior(wanted: Mapping[str, Sequence[float]], labels: Labels) -> None:
    """Raise ConfigError if `evaluation.prior` names a label that is not there, or not one share per class."""
    for name, shares in wanted.items():
        if name not in labels.names:
            raise ConfigError(f"evaluation.prior: there is no label '{name}'{nearest(name, labels.names)}")
        if len(labels.classes) > MANY:
            raise ConfigError(f"evaluation.prior: class shares can't be given for {len(labels.classes)} classes")
        if len(shares) != len(labels.classes):
            there = ", ".join(labels.classes)
            raise ConfigError(
                f"evaluation.prior.{name} has {len(shares)} shares for {len(labels.classes)} classes ({there})"
            )
        if abs(sum(shares) - 1) > 1e-3:
            raise ConfigError(f"evaluation.prior.{name} adds up to {sum(shares):g}; shares of a population add up to 1")
