"""I2M2: a set of experts and a combiner. Every paradigm of the paper is a choice of the set:

unimodal {x1} · intra {x1}, {x2} · inter {x1+x2} · I2M2 {x1}, {x2}, {x1+x2} · ensembles: the same expert with other seeds.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from i2m2_med.types import LogProbs, Present, StackedLogProbs


class Opinions(NamedTuple):
    """Log-probabilities of the model, and of each of its experts."""

    log_probs: LogProbs
    experts: StackedLogProbs
    """In the order of `I2M2.names`; rows where an expert is absent are zero."""
    present: Present
    own_loss: Tensor = torch.zeros(())
    """What experts add to the loss by themselves while they are trained, summed; zero in evaluation."""


Answer = tuple[Tensor, Tensor, Tensor]
"""One expert's log-probabilities (batch, label, classes), zero where it is absent; where it is there, (batch,); its own loss."""


class I2M2(nn.Module):
    """log p(y|x) ∝ Σᵢ log qᵢ(y|xᵢ) + log q_v(y|x): experts that each read some modalities, and a combiner.

    networks: by expert name, each called with the modalities it reads, → logits (batch, label, classes).
    reads: by expert name, the modalities in the order its network takes them.
    shape: (labels, classes); a network that answers (batch, labels · classes) is folded to it.
    lenient: names of experts that judge whatever is there of what they read; their networks take `present` (modality, batch) too.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        reads: Mapping[str, tuple[str, ...]],
        combiner: nn.Module,
        shape: tuple[int, int],
        lenient: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.shape = shape
        self.lenient = frozenset(lenient)
        self.names = tuple(networks)
        self.reads = {name: tuple(reads[name]) for name in self.names}
        self.experts = nn.ModuleDict(networks)
        self.combiner = combiner
        self.frozen: list[nn.Module] = []
        """Parts of experts that stay as they are."""

    def forward(self, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Opinions:
        """Ask each expert about the rows that hold all it reads, and combine. inputs: by modality (batch, …); present: (batch,),
        best on the CPU, where it can be looked at without waiting for a GPU."""
        return self.combined([self.ask(name, inputs, present) for name in self.names])

    def combined(self, answers: Sequence[Answer], elsewhere: bool = False) -> Opinions:
        """Combine what `ask` returned of each expert, in the order of `names`; elsewhere: others can read rows of the same step."""
        stacked = torch.stack([log_probs for log_probs, _, _ in answers])
        heard = torch.stack([there for _, there, _ in answers])
        nobody = self.training and torch.is_grad_enabled() and not bool(heard.any())
        heard = heard.to(stacked.device, non_blocking=True)
        if nobody:
            # nobody can read this batch, which is stepped on all the same
            stacked = stacked + (torch.zeros((), requires_grad=True) if elsewhere else self.zero())
        return Opinions(
            self.combiner(stacked, heard), stacked, heard, torch.stack([own for _, _, own in answers]).sum()
        )

    def train(self, mode: bool = True) -> "I2M2":
        """Training mode for what is trained: an expert, or part of one, whose parameters are frozen stays in evaluation mode."""
        super().train(mode)
        for expert in self.experts.values():
            if not any(parameter.requires_grad for parameter in expert.parameters()):
                expert.eval()
        for part in self.frozen:
            part.eval()
        return self

    def freeze(self, part: nn.Module) -> None:
        """Keep a part of an expert as it is while the rest is trained: its parameters, and the running statistics of its norms."""
        part.requires_grad_(False)
        self.frozen.append(part)

    def zero(self) -> Tensor:
        """Zero as a part of the graph, so that a loss over nothing has a gradient: zero of one parameter, none of the others."""
        learnt = (parameter for parameter in self.parameters() if parameter.requires_grad)
        first = next(learnt, None)
        return torch.zeros(()) if first is None else first.flatten()[:0].sum()

    def can_answer(self, name: str, modalities: Collection[str]) -> bool:
        """Whether an expert judges a sample that has these modalities."""
        there = [modality in modalities for modality in self.reads[name]]
        return any(there) if name in self.lenient else all(there)

    def heard(self, name: str, present: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Which of the modalities that an expert reads are there, (modality, batch), and where it can judge, (batch,)."""
        acquired = torch.stack([present[modality] for modality in self.reads[name]])
        return acquired, acquired.any(dim=0) if name in self.lenient else acquired.all(dim=0)

    def ask(self, name: str, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Answer:
        """What one expert says."""
        reads = self.reads[name]
        acquired, there = self.heard(name, present)
        if not bool(there.any()):
            return self.silent(name, inputs, present)
        device = inputs[reads[0]].device
        rows = there.nonzero()[:, 0].to(device, non_blocking=True)
        some = len(rows) < len(there)
        given = [inputs[modality][rows] if some else inputs[modality] for modality in reads]
        also = {"present": acquired.to(device)[:, rows]} if name in self.lenient else {}
        log_probs, own = self.answer(self.experts[name], given, **also)
        if some:
            log_probs = log_probs.new_zeros((len(there), *log_probs.shape[1:])).index_copy(0, rows, log_probs)
        return log_probs, there, torch.zeros((), device=device) if own is None else own.float()

    def silent(self, name: str, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Answer:
        """What an expert says that is not asked: zeros, and where it could have judged."""
        there, device = self.heard(name, present)[1], inputs[self.reads[name][0]].device
        return torch.zeros((len(there), *self.shape), device=device), there, torch.zeros((), device=device)

    def answer(self, network: nn.Module, modalities: list[Tensor], **also: Tensor) -> tuple[LogProbs, Tensor | None]:
        """A network's log-probabilities, in float32, and the loss that it adds while it is trained, if it does: a mean over the samples
        that it was asked about, or one that does not depend on them."""
        said: Any = network(*modalities, **also)
        logits, own = said if isinstance(said, tuple) else (said, None)
        return logits.reshape(-1, *self.shape).float().log_softmax(dim=-1), own
