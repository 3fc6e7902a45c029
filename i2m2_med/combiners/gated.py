"""A product whose weights are learnt per study: a gate on the experts (Jacobs et al. 1991), in the logarithm; a baseline."""

import torch
from torch import nn

from i2m2_med.combiners.stacking import heard_log_probs
from i2m2_med.types import LogProbs, Present, StackedLogProbs


class GatedProduct(nn.Module):
    """log p(y|x) = Σₑ gₑ(x) log pₑ(y|x) − log Z(x), with gates per study and label.

    It has no experts for interactions and no interaction losses: that is I2MoE (`experts/i2moe.py`).

    The gates lie between zero (unheard) and two, and are read off what the experts say and who is there. The last layer
    starts at zero, where every gate is one: the product.
    """

    def __init__(self, experts: int, labels: int, classes: int, hidden: int = 32) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(experts * (labels * classes + 1), hidden), nn.ReLU(), nn.Linear(hidden, experts * labels)
        )
        for parameter in self.gate[2].parameters():
            nn.init.zeros_(parameter)

    def forward(self, log_probs: StackedLogProbs, present: Present) -> LogProbs:
        """(expert, batch, label, classes), (expert, batch) → (batch, label, classes), in float32 or wider."""
        heard = heard_log_probs(log_probs, present)
        gates = self.gates(heard, present)
        return (gates[..., None] * heard).sum(dim=0).log_softmax(dim=-1)

    def gates(self, heard: StackedLogProbs, present: Present) -> torch.Tensor:
        """(expert, batch, label): how much each expert counts; zero where it is absent."""
        experts, batch, labels, _ = heard.shape
        known = torch.cat([heard.transpose(0, 1).flatten(1), present.T.to(heard.dtype)], dim=1)
        scores = self.gate(known.float()).view(batch, experts, labels).permute(1, 0, 2)
        return torch.where(present[:, :, None], 2 * scores.sigmoid(), 0.0).to(heard.dtype)
