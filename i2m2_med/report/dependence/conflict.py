"""Samples whose experts contradict one another, and how much they do by label."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from i2m2_med.conflict import jensen_shannon
from i2m2_med.predictions import NO_CLASS, UNKNOWN
from i2m2_med.report.statistics.table import Predictions

OTHER = {UNKNOWN: "unknown", NO_CLASS: "none of the classes"}
"""How targets that are no class are shown."""


def conflict_table(predictions: Predictions, classes: Sequence[str] = (), most: int = 20) -> pd.DataFrame:
    """The samples whose experts conflict most: study (pseudonym), item, label, divergence, what each expert gives the likeliest class.

    classes: names for the numbers of classes. Two classes: the experts' probability of class 1. Empty for a model of one expert.
    """
    if len(predictions.experts) < 2:
        return pd.DataFrame(columns=["study", "item", "label", "divergence"])
    parts: list[pd.DataFrame] = []
    for at, label in enumerate(predictions.labels):
        stack = np.stack([p[:, at] for p in predictions.experts.values()])
        shown = (
            np.ones(len(predictions.samples), dtype=np.int64)
            if stack.shape[2] == 2
            else predictions.p[:, at].argmax(axis=1)
        )
        own = {f"p_{name}": p[np.arange(len(p)), shown] for name, p in zip(predictions.experts, stack, strict=True)}
        places = predictions.places
        cls = shown if places is None else places.classes[np.arange(len(shown)), at, shown]
        part = predictions.samples[["study", "item"]].assign(
            label=label, divergence=jensen_shannon(stack), shown_class=cls, **own
        )
        parts.append(part.assign(target=predictions.truth[:, at]))
    table = pd.concat(parts).dropna(subset="divergence").nlargest(most, "divergence").reset_index(drop=True)
    if classes:
        for column in ("shown_class", "target"):
            table[column] = [classes[at] if at >= 0 else OTHER[at] for at in table[column]]
    return table


def conflict_summary(predictions: Predictions) -> pd.DataFrame:
    """Mean and 95th percentile of the divergence per label, in nats, and whether conflict goes with error."""
    rows: list[dict[str, object]] = []
    for at, label in enumerate(predictions.labels):
        divergence = jensen_shannon(np.stack([p[:, at] for p in predictions.experts.values()]))
        known = np.isfinite(divergence) & (predictions.target[:, at] >= 0)
        if not known.any():
            continue
        wrong = predictions.p[known, at].argmax(axis=1) != predictions.target[known, at]
        high = divergence[known] >= np.quantile(divergence[known], 0.9)
        row = {
            "label": label,
            "mean": divergence[known].mean(),
            "95th percentile": np.quantile(divergence[known], 0.95),
        }
        errors = {"error rate": wrong.mean(), "error rate of the tenth that conflicts most": wrong[high].mean()}
        rows.append(row | errors)
    return pd.DataFrame(rows)
