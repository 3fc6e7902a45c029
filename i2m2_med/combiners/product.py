"""The I2M2 combiner (Madaan et al., NeurIPS 2024, Eq. 5): a product of experts."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from i2m2_med.errors import ConfigError
from i2m2_med.types import LogProbs, Present, StackedLogProbs


class ProductOfExperts(nn.Module):
    """log p(y|x) = Σₑ log pₑ(y|x) − log Z(x); an absent expert contributes log 1 = 0.

    A class that an expert rules out (log 0 = −inf) is ruled out. Where the experts rule out every class between them, those
    with the fewest vetoes remain, weighed by what the other experts say.

    prior: k experts multiply the class prior k times; `divide` takes k − 1 of them out again, with the prior that the experts
    learnt (`set_prior`): the class shares of the training split, equal ones with class weights. `keep` is what the paper does.

    silent: places (from 0, in the order of the paradigm's experts) of experts that take part in training only, as one does that
    holds a bias; they are heard where no other expert is there.
    """

    def __init__(self, prior: Literal["keep", "divide"] = "keep", silent: Sequence[int] = ()) -> None:
        super().__init__()
        self.prior = prior
        self.silent = tuple(silent)
        self.register_buffer("log_prior", torch.zeros(()))
        self.register_load_state_dict_pre_hook(_make_room)

    def set_prior(self, shares: Tensor) -> None:
        """The class prior that each expert learnt: (label, classes), each row summing to one."""
        self.log_prior = shares.clamp_min(1e-6).log()

    def forward(self, log_probs: StackedLogProbs, present: Present) -> LogProbs:
        """(expert, batch, label, classes), (expert, batch) → (batch, label, classes), in float32 or wider."""
        present = present if self.training else self.without_silent(present)
        wide = log_probs.float() if log_probs.dtype in (torch.float16, torch.bfloat16) else log_probs
        if self.training and self.prior == "keep" and wide.device.type == "cpu" and unanimous(wide, present):
            return wide.sum(dim=0).log_softmax(dim=-1)  # the same numbers, with half of the passes over many classes
        heard = torch.where(present[:, :, None, None], wide, wide.new_zeros(()))  # not `*`: -inf * 0 is nan
        veto = heard.isneginf()
        vetoes = veto.sum(dim=0)
        total = heard.masked_fill(veto, 0.0).sum(dim=0)
        if self.prior == "divide":
            surplus = (present.sum(dim=0) - 1).clamp_min(0)
            total = total - surplus[:, None, None] * self.log_prior
        ruled_out = vetoes > vetoes.amin(dim=-1, keepdim=True)
        return total.masked_fill(ruled_out, -torch.inf).log_softmax(dim=-1)

    def without_silent(self, present: Present) -> Present:
        """Return who is heard in evaluation."""
        if not self.silent:
            return present
        if max(self.silent) >= len(present):
            raise ConfigError(
                f"combiner: silent names expert {max(self.silent)}, but there are {len(present)} (from 0)"
            )
        others = present.clone()
        others[list(self.silent)] = False
        return torch.where(others.any(dim=0), others, present)


def unanimous(log_probs: StackedLogProbs, present: Present) -> bool:
    """Whether every expert is there for every row, and rules out nothing. (On a GPU, to look would be to wait.)"""
    return bool(present.all()) and bool(log_probs.detach().amin() > -torch.inf)


def _make_room(combiner: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """The prior takes the shape of the one that is about to be loaded."""
    combiner.log_prior = state_dict.get(f"{prefix}log_prior", combiner.log_prior).clone()
