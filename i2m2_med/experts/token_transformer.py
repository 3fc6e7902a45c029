"""The late-fusion transformer that a re-implementation of 19 methods found hardest to beat."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from i2m2_med.experts.tokens import Here, ModalityTokens
from i2m2_med.types import Logits


class TokenTransformer(nn.Module):
    """logits = W · Transformer([CLS], z₁, …, z_m)[CLS]: SimBaMM with one token per modality (Rheude, Eils and Wild 2025, "Fusion or
    Confusion? Multimodal Complexity Is Not All You Need", arXiv 2512.22991).

    Nobody attends to a modality that is absent, so with `needs: any` it answers for whatever a study has. As published: layers that
    normalise after each part, a learnt [CLS], a head of Kaiming's weights. A learnt embedding of the modality stands for their sine
    of the position, so that the order of reading does not matter.

    >>> from i2m2_med.experts import SeriesEncoder, StaticEncoder
    >>> network = TokenTransformer([StaticEncoder(5), SeriesEncoder(12, 24)], labels=1, classes=6)
    >>> network(torch.zeros(2, 5), torch.zeros(2, 24, 12)).shape
    torch.Size([2, 1, 6])
    """

    def __init__(
        self,
        encoders: Sequence[nn.Module],
        *,
        width: int = 32,
        heads: int = 4,
        layers: int = 2,
        hidden: int = 64,
        dropout: float = 0.1,
        labels: int = 1,
        classes: int = 2,
    ) -> None:
        super().__init__()
        self.labels = labels
        self.tokens = ModalityTokens(encoders, width)
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, width))
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, labels * classes)
        nn.init.kaiming_normal_(self.head.weight, mode="fan_out")
        nn.init.zeros_(self.head.bias)

    def forward(self, *modalities: Tensor, present: Here | None = None) -> Logits:
        """Each (batch, …) as its encoder takes it; present: (modality, batch), all where not given → (batch, label, classes)."""
        tokens = self.tokens(modalities, present)
        cls = self.cls.to(tokens.dtype).expand(len(tokens), -1, -1)
        absent = None if present is None else torch.cat([torch.zeros_like(present[:1]), ~present]).T
        states = self.transformer(torch.cat([cls, tokens], dim=1), src_key_padding_mask=absent)
        return self.head(states[:, 0]).unflatten(1, (self.labels, -1))
