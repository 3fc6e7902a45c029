"""The prediction table of a label of many classes: the likeliest ones, the target's, and the log-mass of the rest.

164,264 questions of 3,129 answers would be 514 million rows. Batches are cut as they come, so that memory holds some thousand
samples of all classes at a time.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from i2m2_med.engine.prediction.predict import REFUSED, answers, joined, patterns
from i2m2_med.model import I2M2, Opinions
from i2m2_med.predictions import KEPT, build_table
from i2m2_med.samples.dataset import Samples
from i2m2_med.types import LogProbs

AT_ONCE = 2_000_000
"""Log-probabilities of each expert that are held before they are cut."""


def table_of_many(model: I2M2, samples: Samples, batch: int, device: str) -> pd.DataFrame:
    """Return the prediction table of `samples`, uncalibrated, in the order sample, label, class."""
    by_sample = patterns(samples)
    parts = [
        rows_of(opinions, model.names, samples, by_sample, at) for at, opinions in blocks(model, samples, batch, device)
    ]
    return build_table({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, model.names)


def blocks(model: I2M2, samples: Samples, batch: int, device: str) -> Iterator[tuple[slice, Opinions]]:
    """Yield opinions of some thousand samples at a time, with their place in `samples`."""
    waiting: list[Opinions] = []
    start = 0
    for rows, opinions in answers(model, samples, batch, device):
        waiting.append(opinions)
        if opinions.log_probs[0].numel() * (rows.stop - start) >= AT_ONCE:
            yield slice(start, rows.stop), joined(waiting)
            waiting, start = [], rows.stop
    if waiting:
        yield slice(start, len(samples)), joined(waiting)


def rows_of(
    opinions: Opinions, names: tuple[str, ...], samples: Samples, by_sample: list[str], at: slice
) -> dict[str, Any]:
    """Return the columns of the table's rows of some samples. at: their place in `samples`; by_sample: modalities that are there."""
    target = samples.target[at]
    classes, used = kept_classes(opinions.log_probs, target)
    silent = ~opinions.present.any(dim=0)
    flat = used.numpy()
    sample = np.broadcast_to(np.arange(at.start, at.stop)[:, None, None], flat.shape)[flat]
    label = np.broadcast_to(np.arange(flat.shape[1])[None, :, None], flat.shape)[flat]

    def spread(values: Tensor) -> np.ndarray:
        return values.expand(flat.shape).numpy()[flat]

    def chosen(log_probs: LogProbs, there: Tensor) -> np.ndarray:
        p = log_probs.gather(2, classes).double().exp()
        return spread(torch.where(there[:, None, None], p, torch.full_like(p, torch.nan)))

    records = samples.records
    kept = [
        name for name in records.columns if name in {"patient", "study", "item", "split"} or name.startswith("group_")
    ]
    content: dict[str, Any] = {name: records[name].to_numpy()[sample] for name in kept}
    content["label"] = np.array(samples.labels.names, dtype=object)[label]
    content["class"] = spread(classes).astype(np.int16)
    content["p"] = content["uncalibrated"] = chosen(opinions.log_probs, ~silent)
    for name, log_probs, present in zip(names, opinions.experts, opinions.present, strict=True):
        content[f"p_{name}"] = chosen(log_probs, present)
    content["target"] = spread(target[..., None])
    content["log_rest"] = spread(log_rest(opinions.log_probs, classes, used)[..., None])
    content["classes"] = np.full(len(sample), opinions.log_probs.shape[2])
    content["pattern"] = np.array(by_sample, dtype=object)[sample]
    refused = spread(silent[:, None, None])
    content["status"] = np.where(refused, "refused", "ok")
    content["error"] = np.where(refused, REFUSED, "")
    if samples.soft is not None:
        content["score"] = spread(samples.soft.take(torch.arange(at.start, at.stop)).of(classes).double())
    return content


def kept_classes(
    log_probs: LogProbs, target: Int[Tensor, "batch label"]
) -> tuple[Int[Tensor, "batch label place"], Bool[Tensor, "batch label place"]]:
    """Return the classes that have rows, in ascending order, and which places are used: the target may be among the likeliest."""
    top = log_probs.topk(KEPT, dim=-1).indices
    own = target[..., None]
    extra = (own >= 0) & ~(top == own).any(dim=-1, keepdim=True)
    classes = torch.cat([top, own.clamp_min(0)], dim=-1)
    used = torch.cat([torch.ones_like(top, dtype=torch.bool), extra], dim=-1)
    order = torch.where(used, classes, torch.iinfo(torch.int64).max).argsort(dim=-1)
    return classes.gather(-1, order), used.gather(-1, order)


def log_rest(log_probs: LogProbs, classes: Tensor, used: Tensor) -> Tensor:
    """Return the log of the probability of all classes without a row, (batch, label)."""
    rest = log_probs.double().scatter_add(2, classes, torch.where(used, -torch.inf, 0.0).double())
    return rest.logsumexp(dim=-1)
