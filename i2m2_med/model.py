"""I2M2: a set of experts and a combiner. Every paradigm of the paper is a choice of the set:

unimodal {x1} · intra {x1}, {x2} · inter {x1+x2} · I2M2 {x1}, {x2}, {x1+x2} · ensembles: the same expert with other seeds.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from i2m2_med.types import LogProbs, Present, StackedLogProbs


class Opinions(NamedTuple):
    """Log-probabilities of the model, and of each of its experts."""

    log_probs: LogProbs
    experts: StackedLogProbs
    """In the order of `I2M2.names`; rows where an expert is absent are zero."""
    present: Present


class I2M2(nn.Module):
    """log p(y|x) ∝ Σᵢ log qᵢ(y|xᵢ) + log q_v(y|x): experts that each read some modalities, and a combiner.

    networks: by expert name, each called with the modalities it reads, → logits (batch, label, classes).
    reads: by expert name, the modalities in the order its network takes them.
    shape: (labels, classes); a network that answers (batch, labels · classes) is folded to it.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        reads: Mapping[str, tuple[str, ...]],
        combiner: nn.Module,
        shape: tuple[int, int],
    ) -> None:
        super().__init__()
        self.shape = shape
        self.names = tuple(networks)
        self.reads = {name: tuple(reads[name]) for name in self.names}
        self.experts = nn.ModuleDict(networks)
        self.combiner = combiner

    def forward(self, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Opinions:
        """Ask each expert about the rows that hold all it reads, and combine. inputs: by modality (batch, …); present: (batch,)."""
        answers = [self.ask(name, inputs, present) for name in self.names]
        stacked = torch.stack([log_probs for log_probs, _ in answers])
        heard = torch.stack([there for _, there in answers])
        return Opinions(self.combiner(stacked, heard), stacked, heard)

    def train(self, mode: bool = True) -> "I2M2":
        """Training mode for what is trained: an expert whose parameters are frozen stays in evaluation mode."""
        super().train(mode)
        for expert in self.experts.values():
            if not any(parameter.requires_grad for parameter in expert.parameters()):
                expert.eval()
        return self

    def ask(self, name: str, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """One expert's log-probabilities (batch, label, classes), zero where it is absent, and where it is present (batch,)."""
        reads = self.reads[name]
        there = torch.stack([present[modality] for modality in reads]).all(dim=0)
        network = self.experts[name]
        if bool(there.all()):
            return self.answer(network, [inputs[modality] for modality in reads]), there
        if not bool(there.any()):
            return torch.zeros((len(there), *self.shape), device=there.device), there
        rows = there.nonzero()[:, 0]
        log_probs = self.answer(network, [inputs[modality][rows] for modality in reads])
        return log_probs.new_zeros((len(there), *log_probs.shape[1:])).index_copy(0, rows, log_probs), there

    def answer(self, network: nn.Module, modalities: list[Tensor]) -> LogProbs:
        """A network's log-probabilities, in float32."""
        return network(*modalities).reshape(-1, *self.shape).float().log_softmax(dim=-1)
