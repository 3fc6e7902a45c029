"""Logistic stacking of the experts: one learnt weight per expert and label, as a baseline."""

import torch
from torch import nn

from i2m2_med.types import LogProbs, Present, StackedLogProbs

LEAST = -30.0
"""An expert's log-probability counts as no less: a learnt weight times −inf has no gradient."""


class StackedExperts(nn.Module):
    """log p(y|x) = Σₑ (wₑ log pₑ(y|x) + bₑ(y)) − log Z(x), over the experts that are present (Wolpert 1992).

    w (expert, label) starts at one and b (expert, label, classes) at zero, where it is the product. An absent expert adds
    neither, so b also mends the class prior of each availability pattern.
    """

    def __init__(self, experts: int, labels: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(experts, labels))
        self.bias = nn.Parameter(torch.zeros(experts, labels, classes))

    def forward(self, log_probs: StackedLogProbs, present: Present) -> LogProbs:
        """(expert, batch, label, classes), (expert, batch) → (batch, label, classes), in float32 or wider."""
        heard = heard_log_probs(log_probs, present)
        weighed = self.weight[:, None, :, None] * heard + self.bias[:, None]
        return torch.where(present[:, :, None, None], weighed, 0.0).sum(dim=0).log_softmax(dim=-1)


def heard_log_probs(log_probs: StackedLogProbs, present: Present) -> StackedLogProbs:
    """In float32 or wider, zero where an expert is absent and no less than −30 where it is there."""
    wide = log_probs.float() if log_probs.dtype in (torch.float16, torch.bfloat16) else log_probs
    return torch.where(present[:, :, None, None], wide, 0.0).clamp_min(LEAST)
