"""Notes as hashed tokens: embedding, attention over the tokens of a chunk, attention over chunks. Needs nothing downloaded."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from i2m2_med.types import Logits, Tokens


class AttentionPool(nn.Module):
    """Σᵢ aᵢ xᵢ with a = softmax(wᵀ tanh(V x)) over what is there; nothing there gives the mean of nothing: 0 where x is 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(
        self, parts: Float[Tensor, "*batch part width"], there: Bool[Tensor, "*batch part"]
    ) -> Float[Tensor, "*batch width"]:
        """(…, part, width), (…, part) → (…, width)."""
        score = self.score(parts)[..., 0]
        weight = score.masked_fill(~there, torch.finfo(score.dtype).min).softmax(dim=-1)
        return (weight[..., None] * parts).sum(dim=-2)


class NotesEncoder(nn.Module):
    """Chunks of hashed tokens → features.

    vocabulary: as many as `source.notes.vocabulary`; token 0 is padding, a chunk of padding only is not there.
    """

    def __init__(self, vocabulary: int = 20_000, width: int = 32, dropout: float = 0.1) -> None:
        super().__init__()
        self.features = width
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)
        with torch.no_grad():
            self.embedding.weight.mul_(0.1)  # at scale 1 the random start drowns what few words teach
        self.dropout = nn.Dropout(dropout)
        self.over_tokens = AttentionPool(width)
        self.over_chunks = AttentionPool(width)

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch features"]:
        """(batch, chunk, token), 0 = padding → (batch, width)."""
        tokens = trimmed(tokens)
        there = tokens != 0
        chunks = self.over_tokens(self.dropout(self.embedding(tokens)), there)
        return self.over_chunks(chunks, there.any(dim=-1))


def trimmed(tokens: Tokens) -> Int[Tensor, "batch kept length"]:
    """Without the chunks and the ends of chunks that are padding in the whole batch."""
    there = tokens != 0
    chunks, length = (
        int(used.nonzero().max()) + 1 if used.any() else 1 for used in (there.any(2).any(0), there.any(1).any(0))
    )
    return tokens[:, :chunks, :length]


class NotesAttention(nn.Module):
    """Chunks of hashed tokens → logits."""

    def __init__(
        self, vocabulary: int = 20_000, width: int = 32, dropout: float = 0.1, labels: int = 1, classes: int = 2
    ) -> None:
        super().__init__()
        self.labels = labels
        self.encoder = NotesEncoder(vocabulary, width, dropout)
        self.head = nn.Linear(width, labels * classes)

    def forward(self, tokens: Tokens) -> Logits:
        """(batch, chunk, token), 0 = padding → (batch, label, classes)."""
        return self.head(self.encoder(tokens)).unflatten(1, (self.labels, -1))
