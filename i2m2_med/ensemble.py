"""The models of all folds of a cross-validation as one."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from i2m2_med.model import I2M2, Opinions
from i2m2_med.samples.columns import UNKNOWN, code_of
from i2m2_med.samples.normalise import State


class FoldEnsemble(nn.Module):
    """log p(y|x) = 1/k Σⱼ log pⱼ(y|x) − log Z: the geometric mean of k models, each on inputs as its own fold standardised them.

    For a product of experts this is the product of the experts' geometric means: it is combined as experts are. Called as an
    `I2M2` is, with inputs standardised by `common_state(states)`. states: of each member, by modality (samples/normalise.py).
    """

    def __init__(self, members: Sequence[I2M2], states: Sequence[State]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.common, self.states = common_state(states), tuple(states)
        self.shape, self.names, self.reads = members[0].shape, members[0].names, members[0].reads

    def forward(self, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Opinions:
        """Ask every member, and take the mean of what they and their experts say. inputs: by modality (batch, …); present: (batch,)."""
        each: list[Opinions] = [
            member({name: self.as_in(state, name, tensor) for name, tensor in inputs.items()}, present)
            for member, state in zip(self.members, self.states, strict=True)
        ]
        heard = each[0].present
        experts = torch.stack([one.experts for one in each]).mean(dim=0).log_softmax(dim=-1)
        silent = experts.new_zeros(())
        return Opinions(
            torch.stack([one.log_probs for one in each]).mean(dim=0).log_softmax(dim=-1),
            torch.where(heard[:, :, None, None], experts, silent),
            heard,
        )

    def can_answer(self, name: str, modalities: Collection[str]) -> bool:
        """Whether the expert `name` of every member can answer from these modalities: they read alike."""
        first: Any = self.members[0]
        return bool(first.can_answer(name, modalities))

    def as_in(self, state: State, name: str, tensor: Tensor) -> Tensor:
        """Return a modality as a member's fold standardised it, in float32. A cell of exactly 0 was missing, and is 0 in every fold."""
        if name not in state:
            return tensor
        if "levels" in state[name]:
            return recoded(tensor, self.common[name], state[name])
        pairs = [(self.common[name][key], state[name][key]) for key in ("mean", "std")]
        (mean, own_mean), (std, own_std) = (
            [tensor.new_tensor(one, dtype=torch.float64) for one in pair] for pair in pairs
        )
        moved = (tensor.double() * std + mean - own_mean) / own_std
        return torch.where(tensor == 0, tensor, moved.float())


def common_state(states: Sequence[State]) -> State:
    """Return statistics that inputs are standardised by before each member's take their place: the folds' mean and mean deviation,
    and of categories every word that a fold tells apart."""
    common: State = {}
    for name, first in states[0].items():
        each = [state[name] for state in states]
        common[name] = {key: np.mean([one[key] for one in each], axis=0).tolist() for key in ("mean", "std")}
        if "levels" in first:
            columns = zip(*(one["levels"] for one in each), strict=True)
            common[name]["levels"] = [None if column[0] is None else sorted(set().union(*column)) for column in columns]
    return common


def recoded(tensor: Tensor, common: Mapping[str, Any], own: Mapping[str, Any]) -> Tensor:
    """Columns (samples/columns.py) as a member's fold encoded them: numbers standardised by it, words by its own codes."""
    values, known = tensor.double().nan_to_num().chunk(2, dim=1)
    mean, std, own_mean, own_std = (values.new_tensor(one[key]) for one in (common, own) for key in ("mean", "std"))
    moved = torch.where(known > 0, (values * std + mean - own_mean) / own_std, values)
    for at, levels in enumerate(common["levels"]):
        if levels is not None:
            codes = code_of(np.asarray(levels), np.asarray(own["levels"][at])).tolist()
            moved[:, at] = values.new_tensor([0, UNKNOWN, *codes])[values[:, at].long()]
    return torch.cat([moved, known], dim=1).float()
