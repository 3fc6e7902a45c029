"""The model over samples → what it and each expert says, and the prediction table."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from i2m2_med.engine.prediction.loading import loader
from i2m2_med.engine.prediction.shards import ALONE, Shards
from i2m2_med.ensemble import FoldEnsemble
from i2m2_med.model import I2M2, Opinions
from i2m2_med.predictions import build_table
from i2m2_med.samples.dataset import Samples

ROWS = (0, 1, 1)
"""The axis of samples in `Opinions`: log_probs, experts, present."""
REFUSED = "none of the modalities that the experts read is there"


def run_model(
    model: I2M2 | FoldEnsemble, samples: Samples, batch: int, device: str, shards: Shards = ALONE
) -> Opinions:
    """Return what the model says of every sample, in their order, on the CPU.

    Where no expert is present the answer means nothing: `Opinions.present` says so.
    """
    return joined([answer for _, answer in answers(model, samples, batch, device, shards)])


def answers(
    model: I2M2 | FoldEnsemble, samples: Samples, batch: int, device: str, shards: Shards = ALONE
) -> Iterator[tuple[slice, Opinions]]:
    """Yield what the model says batch by batch, on the CPU, with the place of each batch in `samples`.

    shards: of the processes that all call this, each for its part of every batch; each yields what all of them say.
    """
    model.to(device).eval()
    start = 0
    for one in loader(samples, batch, shards=shards, device=device if samples.deferred else "cpu"):
        with torch.no_grad():
            answer = model(one.to(device).inputs, one.to(device).present)
        stop = min(start + batch, len(samples))
        whole = [shards.gathered(tensor, axis) for tensor, axis in zip(answer, ROWS, strict=False)]
        log_probs, experts, present = (
            tensor.narrow(axis, 0, stop - start).cpu() for tensor, axis in zip(whole, ROWS, strict=True)
        )
        yield slice(start, stop), Opinions(log_probs, experts, present)
        start = stop


def joined(parts: list[Opinions]) -> Opinions:
    """Return the opinions of several batches as one."""
    return Opinions(
        torch.cat([answer.log_probs for answer in parts]),
        torch.cat([answer.experts for answer in parts], dim=1),
        torch.cat([answer.present for answer in parts], dim=1),
    )


def patterns(samples: Samples, batch: int = 1024) -> list[str]:
    """Return which modalities each sample has, '+'-joined in alphabetical order."""
    by_sample: list[str] = []
    for one in loader(samples, batch):
        names = sorted(one.present)
        rows = torch.stack([one.present[name] for name in names], dim=1).tolist()
        by_sample += ["+".join(name for name, there in zip(names, row, strict=True) if there) for row in rows]
    return by_sample


def prediction_table(opinions: Opinions, names: tuple[str, ...], samples: Samples, pattern: list[str]) -> pd.DataFrame:
    """Return the prediction table (`predictions.py`) of uncalibrated answers, in the order sample, label, class.

    names: of the experts. pattern: per sample. A sample that has nothing the experts read is refused: its p is NaN.
    """
    n_samples, n_labels, n_classes = opinions.log_probs.shape
    each = n_labels * n_classes
    records = samples.records
    groups = [name for name in records.columns if name.startswith("group_")]
    known = [name for name in ("patient", "study", "item", "split", "fold", *groups) if name in records.columns]
    content: dict[str, Any] = {name: np.repeat(records[name].to_numpy(), each) for name in known}
    silent = np.repeat(~opinions.present.any(dim=0).numpy(), each)
    content["label"] = np.tile(np.repeat(samples.labels.names, n_classes), n_samples)
    content["class"] = np.tile(np.arange(n_classes, dtype=np.int16), n_samples * n_labels)
    content["p"] = content["uncalibrated"] = np.where(silent, np.nan, probability(opinions.log_probs))
    for name, log_probs, present in zip(names, opinions.experts, opinions.present, strict=True):
        content[f"p_{name}"] = np.where(np.repeat(present.numpy(), each), probability(log_probs), np.nan)
    content["target"] = np.repeat(samples.target.numpy(), n_classes)
    if samples.soft is not None:
        content["score"] = samples.soft.dense().double().flatten().numpy()
    content["pattern"] = np.repeat(pattern, each)
    content["status"] = np.where(silent, "refused", "ok")
    content["error"] = np.where(silent, REFUSED, "")
    return build_table(content, names)


def probability(log_probs: Tensor) -> np.ndarray:
    """Return flat probabilities in float64."""
    return log_probs.double().exp().flatten().numpy()
