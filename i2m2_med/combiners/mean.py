"""The mean of the experts' probabilities: the usual late-fusion ensemble, as a baseline."""

import torch
from torch import nn

from i2m2_med.types import LogProbs, Present, StackedLogProbs


class MeanOfExperts(nn.Module):
    """p(y|x) = (1/k) Σₑ pₑ(y|x) over the k experts that are present."""

    def forward(self, log_probs: StackedLogProbs, present: Present) -> LogProbs:
        """(expert, batch, label, classes), (expert, batch) → (batch, label, classes), in float32 or wider."""
        wide = log_probs.float() if log_probs.dtype in (torch.float16, torch.bfloat16) else log_probs
        heard = torch.where(present[:, :, None, None], wide, wide.new_full((), -torch.inf))
        return heard.logsumexp(dim=0).log_softmax(dim=-1)
