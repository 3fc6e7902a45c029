"""The loss: `training.loss` on the product's log-probabilities, label by label; unknown labels (−1) are masked out.

Soft scores are a likelihood too: −Σ_c s_c log p_c with scores s that sum to one. (Binary cross-entropy of log-probabilities, which
are never above 0, could not tell a right answer by more than a probability of a half.) A sample without any score adds nothing.
Class weights and class shares take a sample's scores as shares of the sample. Of the library's losses
`torch.nn.CrossEntropyLoss` takes soft scores; `FocalLoss` takes class indices only.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from i2m2_med.config.targets import build, resolve
from i2m2_med.config.training import Training
from i2m2_med.errors import ConfigError
from i2m2_med.model import Opinions
from i2m2_med.samples.dataset import Samples
from i2m2_med.types import LogProbs, SoftTarget, Target

WHERE = "training.loss"
FIXED = {"FocalLoss": {"to_onehot_y": True, "use_softmax": True}}
"""Arguments that follow from what a loss is given here: log-probabilities over classes, and class indices."""


def class_counts(samples: Samples) -> Tensor:
    """Return how many samples are of each class, (label, classes); soft scores are shares of a sample."""
    if samples.soft is not None:
        return samples.soft.shares()
    n_classes = len(samples.labels.classes)
    return torch.stack(
        [torch.bincount(column[column >= 0], minlength=n_classes) for column in samples.target.T]
    ).float()


def class_weights(samples: Samples) -> Tensor:
    """Return N / N_c per label and class, (label, classes), over the known targets of the training split; 0 for a class without one."""
    counts = class_counts(samples)
    return torch.where(counts > 0, counts.sum(dim=1, keepdim=True) / counts.clamp_min(1), counts)


def class_shares(samples: Samples) -> Tensor:
    """Return the share of each class per label, (label, classes), each row summing to one."""
    counts = class_counts(samples)
    return counts / counts.sum(dim=1, keepdim=True).clamp_min(1)


def learnt_prior(samples: Samples, training: Training) -> Tensor:
    """The class prior that experts learn, (label, classes): that of the training split, or, with class weights N / N_c, an equal one
    over the classes that occur. Experts of modes `separate` and `stacked` learn under the settings of their own stage."""
    shares = class_shares(samples)
    alone = training.separate if training.mode in {"separate", "stacked"} else {}
    if not alone.get("class_weights", training.class_weights):
        return shares
    there = (shares > 0).float()
    return there / there.sum(dim=1, keepdim=True).clamp_min(1)


class MaskedNLL(nn.Module):
    """Sum over labels of the weighted mean of −log p(target); a label unknown in the whole batch adds nothing.

    weight: (label, classes), or None for all 1.
    """

    def __init__(self, weight: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.weight: Tensor | None

    def forward(self, log_probs: LogProbs, target: Target | SoftTarget) -> Tensor:
        """Return the loss, a scalar."""
        if target.is_floating_point():
            return self.of_scores(log_probs, target)
        known = target >= 0
        index = target.clamp_min(0)
        picked = log_probs.gather(2, index[:, :, None])[:, :, 0]
        weight = known.to(log_probs.dtype)
        if self.weight is not None:
            weight = weight * self.weight.expand(len(target), -1, -1).gather(2, index[:, :, None])[:, :, 0]
        total = (weight * torch.where(known, -picked, torch.zeros_like(picked))).sum(dim=0)
        return (total / weight.sum(dim=0).clamp_min(torch.finfo(weight.dtype).tiny)).sum()

    def of_scores(self, log_probs: LogProbs, scores: SoftTarget) -> Tensor:
        """Return the cross-entropy with scores that are made to sum to one."""
        scores = scores if self.weight is None else scores * self.weight
        total = scores.sum(dim=-1)
        mass = scores / total.clamp_min(torch.finfo(scores.dtype).tiny)[..., None]
        cost = -torch.where(mass > 0, mass * log_probs, torch.zeros_like(mass)).sum(
            dim=-1
        )  # not `*` alone: -inf * 0 is nan
        weight = (total > 0).to(scores.dtype) if self.weight is None else total
        return ((weight * cost).sum(dim=0) / weight.sum(dim=0).clamp_min(torch.finfo(weight.dtype).tiny)).sum()


class PerLabel(nn.Module):
    """Sum over labels of a library's loss on the samples whose label is known; a label unknown in the whole batch adds nothing.

    losses: one per label, each called with (sample, classes) log-probabilities, which are logits as well since they are
    normalised, and (sample,) class indices; MONAI's take the indices as a column.
    """

    def __init__(self, losses: Sequence[nn.Module]) -> None:
        super().__init__()
        self.losses = nn.ModuleList(losses)

    def forward(self, log_probs: LogProbs, target: Target | SoftTarget) -> Tensor:
        """Return the loss, a scalar. Raises ConfigError for soft scores that the loss can't take."""
        total = log_probs[:0].sum()  # zero, and a part of the graph: a batch without any label can be stepped on
        for at, loss in enumerate(self.losses):
            if target.is_floating_point():
                total = total + self.of_scores(loss, log_probs[:, at], target[:, at])
                continue
            known = target[:, at] >= 0
            if bool(known.any()):
                index = target[known, at]
                column = type(loss).__module__.startswith("monai.")
                total = total + loss(log_probs[known, at], index[:, None] if column else index)
        return total

    def of_scores(self, loss: nn.Module, log_probs: Tensor, scores: Tensor) -> Tensor:
        """Return the loss of one label on soft scores (sample, classes)."""
        if not isinstance(loss, nn.CrossEntropyLoss):
            raise ConfigError(f"{WHERE}: {type(loss).__name__} takes class indices, but these labels have soft scores")
        total = scores.sum(dim=-1)
        known = total > 0
        if not bool(known.any()):
            return log_probs[:0].sum()
        return loss(log_probs[known], scores[known] / total[known, None])


class Objective(nn.Module):
    """The loss of the combination, plus what experts add by themselves, plus `aux_weight` × the sum of the loss of each expert on the
    samples it read."""

    def __init__(self, loss: nn.Module, aux_weight: float = 0.0) -> None:
        super().__init__()
        self.loss, self.aux_weight = loss, aux_weight

    def forward(self, opinions: Opinions, target: Target | SoftTarget) -> Tensor:
        """Return the loss, a scalar; samples that no expert read add nothing."""
        target = known_where(opinions.present.any(dim=0), target)
        loss = self.loss(opinions.log_probs, target) + opinions.own_loss
        if self.aux_weight:
            for log_probs, present in zip(opinions.experts, opinions.present, strict=True):
                loss = loss + self.aux_weight * self.loss(log_probs, known_where(present, target))
        return loss


def known_where(there: Tensor, target: Tensor) -> Tensor:
    """Return the targets, unknown where `there` (batch,) is False: −1, or scores of 0."""
    if there.device.type == "cpu" and bool(there.all()):
        return target
    unknown = torch.full_like(target, 0 if target.is_floating_point() else -1)
    return torch.where(there.view(-1, *[1] * (target.ndim - 1)), target, unknown)


def build_loss(training: Training, labels: int, weights: Tensor | None, plugins: tuple[str, ...] = ()) -> nn.Module:
    """Return the loss of `training.loss`, called with (batch, label, classes) log-probabilities and (batch, label) targets.

    weights: (label, classes) where `training.class_weights` asks for them. Raises ConfigError for arguments that do not fit.
    """
    block = training.loss
    kind = resolve(str(block.get("_target_")), "loss", WHERE, plugins)
    takes = inspect.signature(kind).parameters
    fixed: dict[str, Any] = FIXED.get(kind.__name__, {})
    if weights is not None and "weight" not in takes:
        raise ConfigError(f"{WHERE}: {block['_target_']} takes no class weights; set training.class_weights to false")
    reserved = [*fixed, *(["weight"] if weights is not None or kind is MaskedNLL else [])]
    if doubled := [name for name in reserved if name in block]:
        raise ConfigError(f"{WHERE}: leave {', '.join(doubled)} out: training.class_weights and the labels decide it")
    if kind is MaskedNLL:
        return MaskedNLL(weights)
    rows = [None] * labels if weights is None else list(weights)
    offered = [fixed if row is None else {**fixed, "weight": row} for row in rows]
    return PerLabel([build(block, "loss", WHERE, plugins, each) for each in offered])


def check_loss(training: Training, labels: int, classes: int, plugins: tuple[str, ...] = ()) -> None:
    """Try the loss of `training` on made-up predictions. Raises ConfigError where arguments do not fit or the truth costs more."""
    weights = torch.ones(labels, classes) if training.class_weights else None
    loss = build_loss(training, labels, weights, plugins)
    certain = torch.full((classes, classes), 0.1 / max(1, classes - 1)).fill_diagonal_(0.9).log()
    target = torch.arange(classes)
    for cls in range(classes):
        right, wrong = (
            _tried(loss, certain[shown].expand(2, labels, classes), target[cls].expand(2, labels), training)
            for shown in (cls, (cls + 1) % classes)
        )
        if not right < wrong:
            raise ConfigError(f"{WHERE}: with these arguments {training.loss['_target_']} does not reward class {cls}")


def _tried(loss: nn.Module, log_probs: Tensor, target: Tensor, training: Training) -> float:
    """Return the loss of predictions that are all alike. Raises ConfigError where it can't be computed."""
    name = training.loss["_target_"]
    try:
        value = loss(log_probs, target)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ConfigError(f"{WHERE}: {name}: {str(error).splitlines()[0]}") from error
    if value.ndim or not bool(value.isfinite()):
        raise ConfigError(
            f"{WHERE}: {name} must give one finite number for a batch; mind its reduction and other arguments"
        )
    return float(value)
