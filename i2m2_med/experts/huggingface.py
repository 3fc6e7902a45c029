"""Notes through a Hugging Face encoder from a local folder (`pip install i2m2-med[text]`); nothing is ever fetched."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from i2m2_med.errors import ConfigError, extra_hint
from i2m2_med.experts.content_cache import ContentCache
from i2m2_med.experts.notes import AttentionPool, trimmed
from i2m2_med.types import Logits, Tokens

CHUNKS_AT_ONCE = 64


class HuggingFaceEncoder(nn.Module):
    """Chunks of word pieces → features: the encoder's first state ([CLS]) of each chunk, attention over chunks.

    folder: an encoder saved by `save_pretrained` (Bio_ClinicalBERT and its kind), with its tokenizer beside it.
    frozen: the encoder is not trained, and each chunk is encoded once; with `cache` (a file) once for all runs.
    Tokens are the tokenizer's numbers plus 1, as `sources.word_pieces` writes them; 0 is padding.
    """

    def __init__(self, folder: str, frozen: bool = True, cache: str | None = None) -> None:
        super().__init__()
        self.encoder = load_encoder(Path(folder))
        self.frozen = frozen
        self.features = int(self.encoder.config.hidden_size)
        self.over_chunks = AttentionPool(self.features)
        if frozen:
            self.encoder.requires_grad_(False).eval()
        self.cache = ContentCache(Path(cache) if cache else None)
        self.identity: bytes | None = None

    def train(self, mode: bool = True) -> "HuggingFaceEncoder":
        """A frozen encoder stays in evaluation mode: no dropout, the same vector for the same text."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch features"]:
        """(batch, chunk, token), 0 = padding → (batch, features)."""
        tokens = trimmed(tokens)
        there = (tokens != 0).any(dim=-1)
        chunks = tokens[there]
        vectors = self.remembered(chunks) if self.frozen else self.encode(chunks)
        spread = vectors.new_zeros((*there.shape, self.features))
        spread[there] = vectors
        return self.over_chunks(spread, there)

    def encode(self, chunks: Int[Tensor, "some token"]) -> Float[Tensor, "some features"]:
        """(chunk, token) → (chunk, features), as the encoder says."""
        mask = (chunks != 0).long()
        return self.encoder(input_ids=(chunks - 1).clamp(min=0), attention_mask=mask).last_hidden_state[:, 0]

    @torch.no_grad()
    def remembered(self, chunks: Int[Tensor, "some token"]) -> Float[Tensor, "some features"]:
        """As `encode`, but each content only once."""
        contents = [self.key(row) for row in chunks.cpu().numpy()]
        known = self.cache.get(contents)
        new = {key: place for place, key in enumerate(contents) if key not in known}
        places = list(new.values())
        for start in range(0, len(places), CHUNKS_AT_ONCE):
            some = places[start : start + CHUNKS_AT_ONCE]
            vectors = self.encode(chunks[some]).float().cpu().numpy()
            made = {contents[place]: vector for place, vector in zip(some, vectors, strict=True)}
            self.cache.put(made)
            known |= made
        stacked = np.stack([known[key] for key in contents]) if contents else np.zeros((0, self.features), np.float32)
        return torch.from_numpy(stacked).to(chunks.device)

    def key(self, row: np.ndarray) -> bytes:
        """A hash of the chunk's tokens (without padding) and of the encoder's weights."""
        if self.identity is None:
            hashed = hashlib.sha256()
            for name, tensor in sorted(self.encoder.state_dict().items()):
                hashed.update(name.encode())
                hashed.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
            self.identity = hashed.digest()
        return hashlib.sha256(self.identity + np.trim_zeros(row, "b").astype("<i8").tobytes()).digest()


class HuggingFaceNotes(nn.Module):
    """Chunks of word pieces → logits, through `HuggingFaceEncoder`."""

    def __init__(
        self, folder: str, frozen: bool = True, cache: str | None = None, labels: int = 1, classes: int = 2
    ) -> None:
        super().__init__()
        self.labels = labels
        self.encoder = HuggingFaceEncoder(folder, frozen, cache)
        self.head = nn.Linear(self.encoder.features, labels * classes)

    def forward(self, tokens: Tokens) -> Logits:
        """(batch, chunk, token), 0 = padding → (batch, label, classes)."""
        return self.head(self.encoder(tokens)).unflatten(1, (self.labels, -1))


def load_encoder(folder: Path) -> Any:
    """The encoder of a local folder. Raises ConfigError if it is no such folder; a hub's name is never looked up."""
    try:
        from transformers import AutoModel
        from transformers.utils import logging
    except ImportError as error:
        raise ConfigError(f"HuggingFaceNotes needs the transformers package: {extra_hint('text')}") from error
    logging.disable_progress_bar()
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"{folder} holds no config.json; name the local folder of an encoder saved by save_pretrained"
        )
    try:
        return AutoModel.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} can't be loaded as an encoder: {str(error).splitlines()[0]}") from error
