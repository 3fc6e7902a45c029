"""Short texts whose order of words matters (questions, statements): a GRU over hashed words. Needs nothing downloaded."""

import torch
from jaxtyping import Float
from torch import nn

from i2m2_med.experts.notes import trimmed
from i2m2_med.types import Tokens


class WordsGRU(nn.Module):
    """Hashed words → features: embedding, GRU in both directions, the largest value of each state over the words.

    vocabulary: as many as the transform that hashes has buckets; token 0 is padding.
    """

    def __init__(self, vocabulary: int = 4096, width: int = 64, dropout: float = 0.2) -> None:
        super().__init__()
        self.features = width
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(width, width // 2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * (width // 2), width)

    def forward(self, tokens: Tokens) -> Float[torch.Tensor, "batch features"]:
        """(batch, chunk, token), 0 = padding → (batch, width); all chunks are read as one text."""
        tokens = trimmed(tokens).flatten(1)
        there = tokens != 0
        order = (~there).long().argsort(dim=1, stable=True)  # words first, padding between chunks last
        tokens, there = tokens.gather(1, order), there.gather(1, order)
        words = self.dropout(self.embedding(tokens))
        lengths = there.sum(dim=1).clamp_min(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=tokens.shape[1]
        )
        states = states.masked_fill(~there[..., None], torch.finfo(states.dtype).min)
        empty = ~there.any(dim=1, keepdim=True)
        return self.out(self.dropout(states.amax(dim=1).masked_fill(empty, 0.0)))
