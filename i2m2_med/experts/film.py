"""A joint expert that multiplies: what one modality says scales what is read of the other's parts (FiLM; Perez et al. 2018).

"Is there a blue square in each box" is about products of words and objects, which a concatenation of two summaries does not hold.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.experts.mlp import MLP
from i2m2_med.types import Logits


class FiLM(nn.Module):
    """h + relu(γ(c) ⊙ W h + β(c)); without a condition γ is 1 and β is 0."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)
        self.scales = nn.Linear(features, 2 * width) if features else None

    def forward(self, parts: Float[Tensor, "batch *some width"], condition: Tensor | None) -> Tensor:
        """(batch, …, width), (batch, features) → (batch, …, width)."""
        made = self.layer(parts)
        if self.scales is not None and condition is not None:
            by_part = self.scales(condition).view(len(parts), *[1] * (parts.ndim - 2), -1)
            scale, shift = by_part.chunk(2, dim=-1)
            made = (1 + scale) * made + shift
        return parts + torch.relu(made)


class FiLMSets(nn.Module):
    """Parts of pictures under a condition → logits: FiLM on parts, summed in each set, FiLM on sets, their sum and maximum, MLP.

    The order of parts in a set, and of sets, makes no difference. encoders: what gives the parts (`ObjectParts`, `PictureParts`),
    and, for a joint expert, what gives the condition (`WordsGRU`, or any encoder that says its `features`).

    >>> from i2m2_med.experts.parts import ObjectParts
    >>> FiLMSets([ObjectParts(18, 8)])(torch.zeros(2, 3, 8, 18)).shape
    torch.Size([2, 1, 2])
    """

    of_sets = True
    """Its first input is a set of pictures, boxes or objects, no image whose axes lie in space: nothing to draw a saliency map over."""

    def __init__(
        self, encoders: Sequence[nn.Module], blocks: int = 2, hidden: int = 64, labels: int = 1, classes: int = 2
    ) -> None:
        super().__init__()
        self.labels = labels
        self.encoders = nn.ModuleList(encoders)
        width = int(encoders[0].width)  # type: ignore[arg-type]
        features = int(encoders[1].features) if len(encoders) > 1 else 0  # type: ignore[arg-type]
        self.on_parts = nn.ModuleList(FiLM(width, features) for _ in range(blocks))
        self.on_sets = nn.ModuleList(FiLM(width, features) for _ in range(blocks))
        self.head = MLP(2 * width + features, hidden, labels * classes)

    def forward(self, *modalities: Tensor) -> Logits:
        """Each (batch, …) as its encoder takes it → (batch, label, classes)."""
        if len(modalities) != len(self.encoders):
            raise ValueError(f"an expert of {len(self.encoders)} encoders was given {len(modalities)} modalities")
        parts, there = self.encoders[0](modalities[0])
        condition = self.encoders[1](modalities[1]) if len(modalities) > 1 else None
        for block in self.on_parts:
            parts = block(parts, condition)
        sets = torch.where(there[..., None], parts, parts.new_zeros(())).sum(dim=2)
        sets = sets / there.shape[2] ** 0.5
        for block in self.on_sets:
            sets = block(sets, condition)
        summed = torch.cat([sets.mean(dim=1), sets.amax(dim=1), *([] if condition is None else [condition])], dim=1)
        return self.head(summed).unflatten(1, (self.labels, -1))
