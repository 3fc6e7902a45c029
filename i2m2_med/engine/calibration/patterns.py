"""What calibration asks of an availability pattern before it gives it numbers of its own, and whose numbers it takes otherwise."""

from typing import Any

import numpy as np

FEWEST = 10
"""Patients of known label that a pattern needs in validation to have numbers of its own."""
FOLDS = 5
"""Of patients, to see whether calibration helps those that it was not fitted on."""
STIFFNESS = 1.0
"""Pull of log scale and shift towards zero, in nats: decides where validation is small or separates the classes."""
SMALLEST_P = 1e-30


def folds_of(target: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """(sample,): the fold of each sample's patient; patients are dealt out in the order of their largest class."""
    _, code = np.unique(patient, return_inverse=True)
    largest = np.zeros(code.max() + 1, dtype=np.int64)
    np.maximum.at(largest, code, target)
    fold = np.empty(len(largest), dtype=np.int64)
    fold[np.argsort(largest, kind="stable")] = np.arange(len(largest)) % FOLDS
    return fold[code]


def numbers_for(name: str, label: int, patterns: dict[str, Any]) -> tuple[dict[str, Any] | None, bool]:
    """A pattern's own numbers for a label, or those of the nearest pattern that has some; and whether they are its own."""
    own = patterns.get(name, {"labels": {label: None}})["labels"][label]
    if own is not None:
        return own, True
    wanted = set(name.split("+"))

    def nearness(other: str) -> tuple[float, int]:
        there = set(other.split("+"))
        return len(wanted & there) / len(wanted | there), patterns[other]["samples"]

    fitted = [other for other in patterns if patterns[other]["labels"][label] is not None]
    return (patterns[max(fitted, key=nearness)]["labels"][label] if fitted else None), False
