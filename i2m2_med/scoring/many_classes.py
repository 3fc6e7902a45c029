"""Rows of a study where labels have many classes: the likeliest ones and the log-mass of the rest, calibrated as their table is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from i2m2_med.engine.calibration.many_classes import calibrate_many
from i2m2_med.engine.prediction.many_classes import kept_classes, log_rest
from i2m2_med.model import Opinions
from i2m2_med.predictions import UNKNOWN

TEXTS = ("set", "set_split", "decision")


def rows_of_many(
    opinions: Opinions,
    items: Sequence[int],
    patterns: Sequence[str],
    *,
    labels: Sequence[str],
    experts: Sequence[str],
    calibration: dict[str, Any],
) -> list[dict[str, Any]]:
    """Return rows of the prediction table, a row per item, label and class that is kept.

    labels, experts: their names; calibration: of `fit_calibration`, empty where there is none.
    """
    n_items, n_labels = opinions.log_probs.shape[:2]
    classes, used = kept_classes(opinions.log_probs, torch.full((n_items, n_labels), UNKNOWN))
    flat = used.numpy()

    def spread(values: Tensor) -> np.ndarray:
        return values.expand(flat.shape).numpy()[flat]

    numbers = spread(torch.arange(n_items)[:, None, None])
    content: dict[str, Any] = {
        "study": "",
        "item": np.asarray(items)[numbers],
        "level": "item",
        "label": np.array(labels)[spread(torch.arange(n_labels)[None, :, None])],
        "class": spread(classes),
        "p": spread(opinions.log_probs.gather(2, classes).double().exp()),
        "log_rest": spread(log_rest(opinions.log_probs, classes, used)[..., None]),
        "classes": opinions.log_probs.shape[2],
        "pattern": np.array(patterns)[numbers],
    }
    for name, log_probs, present in zip(experts, opinions.experts, opinions.present, strict=True):
        p = log_probs.gather(2, classes).double().exp()
        content[f"p_{name}"] = spread(torch.where(present[:, None, None], p, torch.full_like(p, torch.nan)))
    table = pd.DataFrame(content)
    table = table.assign(uncalibrated=table["p"], calibrated=False)
    if calibration:
        table = calibrate_many(table, calibration)
    table = table.drop(columns="study").astype(object)
    rows = table.where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} | {text: row.get(text) for text in TEXTS} for row in rows]
