"""The validation metrics that an epoch is chosen by: a mean over the labels for which they are defined."""

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from i2m2_med.types import LogProbs, Target

HIGHER_IS_BETTER = {"nll": False, "auroc": True, "average_precision": True, "accuracy": True}


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
    known = target >= 0
    if not bool(known.any()):
        return {}
    log_probs, target = log_probs[known].double(), target[known]
    nll = torch.nn.functional.nll_loss(log_probs, target)
    accuracy = (log_probs.argmax(dim=1) == target).double().mean()
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
