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
        ruled_out = heard.isneginf().all(dim=0)  # by every expert: kept out of logsumexp, whose gradient would be nan
        total = heard.masked_fill(ruled_out, 0.0).logsumexp(dim=0)
        return total.masked_fill(ruled_out, -torch.inf).log_softmax(dim=-1)
