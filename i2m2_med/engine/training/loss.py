"""The loss: class-weighted negative log-likelihood, summed over labels; unknown labels (−1) are masked out."""

import torch
from torch import Tensor, nn

from i2m2_med.model import Opinions
from i2m2_med.samples.dataset import Samples
from i2m2_med.types import LogProbs, Target


def class_weights(samples: Samples) -> Tensor:
    """N / N_c per label and class, (label, classes), over the known targets of the training split; 0 for a class without one."""
    n_classes = len(samples.labels.classes)
    counts = torch.stack(
        [torch.bincount(column[column >= 0], minlength=n_classes) for column in samples.target.T]
    ).float()
    return torch.where(counts > 0, counts.sum(dim=1, keepdim=True) / counts.clamp_min(1), counts)


def class_shares(samples: Samples) -> Tensor:
    """The share of each class per label, (label, classes), each row summing to one."""
    n_classes = len(samples.labels.classes)
    counts = torch.stack(
        [torch.bincount(column[column >= 0], minlength=n_classes) for column in samples.target.T]
    ).float()
    return counts / counts.sum(dim=1, keepdim=True).clamp_min(1)


class MaskedNLL(nn.Module):
    """Sum over labels of the weighted mean of −log p(target); a label unknown in the whole batch adds nothing.

    weights: (label, classes), or None for all 1. aux_weight: λ × the mean loss of the experts that are present.
    """

    def __init__(self, weights: Tensor | None = None, aux_weight: float = 0.0) -> None:
        super().__init__()
        self.weights = weights
        self.aux_weight = aux_weight

    def forward(self, said: Opinions, target: Target) -> Tensor:
        """The loss of the combination, plus the experts' own where `aux_weight` is set; samples that nobody reads add nothing."""
        target = torch.where(said.present.any(dim=0)[:, None], target, torch.full_like(target, -1))
        loss = self.of(said.log_probs, target)
        if self.aux_weight:
            for log_probs, present in zip(said.experts, said.present, strict=True):
                heard = torch.where(present[:, None], target, torch.full_like(target, -1))
                loss = loss + self.aux_weight * self.of(log_probs, heard)
        return loss

    def of(self, log_probs: LogProbs, target: Target) -> Tensor:
        """The masked loss of one set of log-probabilities."""
        known = target >= 0
        index = target.clamp_min(0)
        picked = log_probs.gather(2, index[:, :, None])[:, :, 0]
        weight = known.to(log_probs.dtype)
        if self.weights is not None:
            weight = weight * self.weights.expand(len(target), -1, -1).gather(2, index[:, :, None])[:, :, 0]
        total = (weight * torch.where(known, -picked, torch.zeros_like(picked))).sum(dim=0)
        return (total / weight.sum(dim=0).clamp_min(torch.finfo(weight.dtype).tiny)).sum()
