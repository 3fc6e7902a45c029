"""The validation metrics that an epoch is chosen by: a mean over the labels for which they are defined."""

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from i2m2_med.engine.prediction.predict import answers, run_model
from i2m2_med.engine.prediction.shards import ALONE, Shards
from i2m2_med.ensemble import FoldEnsemble
from i2m2_med.errors import UserError
from i2m2_med.model import I2M2
from i2m2_med.predictions import MANY, UNKNOWN
from i2m2_med.samples.dataset import Samples
from i2m2_med.types import LogProbs, Target

HIGHER_IS_BETTER = {"nll": False, "auroc": True, "average_precision": True, "accuracy": True}
SCORED = {"soft_accuracy": True}
"""What soft scores add: the mean score of the class that is likeliest."""
HIGHER = HIGHER_IS_BETTER | SCORED


def validation_metrics(
    model: I2M2 | FoldEnsemble, samples: Samples, batch: int, device: str, shards: Shards = ALONE
) -> dict[str, float]:
    """Return `selection_metrics` over samples that some expert could read; of many classes (`MANY`) batch by batch, without ranking.

    Raises UserError where the model's answers are not numbers.
    """
    if len(samples.labels.classes) > MANY:
        return metrics_of_many(model, samples, batch, device, shards)
    predicted = run_model(model, samples, batch, device, shards=shards)
    answered = predicted.present.any(dim=0)
    if bool(predicted.log_probs[answered].isnan().any()):
        raise UserError(
            "training diverged: the model's answers on validation are not numbers; lower training.learning_rate"
        )
    metrics = selection_metrics(predicted.log_probs[answered], samples.target[answered])
    if samples.soft is not None:
        top = predicted.log_probs.argmax(dim=-1, keepdim=True)
        judged = answered[:, None] & (samples.target != UNKNOWN)
        metrics["soft_accuracy"] = _mean(samples.soft.of(top)[..., 0].double(), judged)
    return metrics


def metrics_of_many(
    model: I2M2 | FoldEnsemble, samples: Samples, batch: int, device: str, shards: Shards
) -> dict[str, float]:
    """Return nll, accuracy (and soft accuracy): means over samples and labels that are known, kept as two numbers of each."""
    own: list[Tensor] = []
    top: list[Tensor] = []
    there: list[Tensor] = []
    for rows, one in answers(model, samples, batch, device, shards=shards):
        index = samples.target[rows].clamp_min(0)[..., None]
        own.append(one.log_probs.gather(2, index)[..., 0])
        top.append(one.log_probs.argmax(dim=-1))
        there.append(one.present.any(dim=0))
    target, decided, answered = samples.target, torch.cat(top), torch.cat(there)[:, None]
    known, judged = answered & (target >= 0), answered & (target != UNKNOWN)
    metrics = {
        "nll": -_mean(torch.cat(own).double(), known),
        "accuracy": _mean((decided == target).double(), judged),
    }
    if samples.soft is not None:
        metrics["soft_accuracy"] = _mean(samples.soft.of(decided[..., None])[..., 0].double(), judged)
    return metrics


def _mean(values: Tensor, rows: Tensor) -> float:
    return float(values[rows].mean()) if bool(rows.any()) else float("nan")


def selection_metrics(log_probs: LogProbs, target: Target) -> dict[str, float]:
    """Return nll, accuracy, auroc and average_precision (one against the rest beyond two classes); NaN where no label has two classes."""
    per_label = [label_metrics(log_probs[:, label], target[:, label]) for label in range(target.shape[1])]
    known = [metrics for metrics in per_label if metrics]
    names = HIGHER_IS_BETTER if known else ()
    return {
        name: float(np.nanmean(values)) if any(np.isfinite(values := [m[name] for m in known])) else np.nan
        for name in names
    }


def label_metrics(log_probs: Tensor, target: Tensor) -> dict[str, float]:
    """Return the metrics of one label: log_probs (batch, classes), target (batch,); empty where no target is known."""
    known, judged = target >= 0, int((target != UNKNOWN).sum())
    if not bool(known.any()):
        return {}
    log_probs, target = log_probs[known].double(), target[known]
    nll = torch.nn.functional.nll_loss(log_probs, target)
    accuracy = (log_probs.argmax(dim=1) == target).double().sum() / judged
    odds = (log_probs - torch.log1p(-log_probs.exp().clamp_max(1 - 1e-15))).clamp(-1e30, 1e30).numpy()
    truth = np.eye(log_probs.shape[1], dtype=int)[target.numpy()]
    columns = [1] if truth.shape[1] == 2 else range(truth.shape[1])
    scored = [column for column in columns if 0 < truth[:, column].sum() < len(truth)]
    auroc = np.mean([roc_auc_score(truth[:, c], odds[:, c]) for c in scored]) if scored else np.nan
    precision = np.mean([average_precision_score(truth[:, c], odds[:, c]) for c in scored]) if scored else np.nan
    return {
        "nll": float(nll),
        "accuracy": float(accuracy),
        "auroc": float(auroc),
        "average_precision": float(precision),
    }
