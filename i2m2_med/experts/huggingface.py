"""Texts, pictures, and both through a Hugging Face encoder from a local folder (extra `text`); nothing is ever fetched."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from i2m2_med.errors import ConfigError
from i2m2_med.experts.feature_head import FeatureHead
from i2m2_med.experts.frozen_features import FrozenFeatures, Pooling, load_encoder
from i2m2_med.experts.notes import AttentionPool, trimmed
from i2m2_med.types import Logits, Tokens

Pictures = Float[Tensor, "batch picture channel rows columns"]

__all__ = ["HuggingFaceEncoder", "HuggingFaceJoint", "HuggingFaceNotes", "HuggingFacePictures", "load_encoder"]


class HuggingFaceEncoder(FrozenFeatures):
    """Chunks of word pieces → features: one vector of each chunk (its first state, [CLS]), attention over chunks.

    folder: an encoder saved by `save_pretrained` (Bio_ClinicalBERT and its kind), with its tokenizer beside it; of a model of
    pictures and texts its text tower. Tokens are the tokenizer's numbers plus 1, as `sources.word_pieces` writes them; 0 is padding.
    """

    def __init__(
        self,
        folder: str,
        frozen: bool = True,
        cache: str | None = None,
        pooling: Pooling = "cls",
        normalise: bool = False,
    ) -> None:
        super().__init__(folder, ("text_model",), frozen=frozen, cache=cache, pooling=pooling, normalise=normalise)
        self.features = int(self.encoder.config.hidden_size)
        self.over_chunks = AttentionPool(self.features)

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
        return self.pooled(self.encoder(input_ids=(chunks - 1).clamp(min=0), attention_mask=mask), mask)

    def remembered(self, chunks: Int[Tensor, "some token"]) -> Float[Tensor, "some features"]:
        """As `encode`, but each content only once."""
        vectors = self.by_content(
            contents_of(chunks), lambda some: self.encode(chunks[torch.tensor(some)]), self.features
        )
        return torch.from_numpy(vectors).to(chunks.device)


def contents_of(tokens: Int[Tensor, "some token"]) -> list[bytes]:
    """Each row's tokens without padding, as bytes."""
    return [np.trim_zeros(row, "b").astype("<i8").tobytes() for row in tokens.cpu().numpy()]


class HuggingFacePictures(FrozenFeatures):
    """Pictures → features, those of a sample's several pictures side by side.

    folder: a ViT, Swin, CLIP, SigLIP or FLAVA saved by `save_pretrained`; of a model of pictures and texts its picture tower. Pictures
    come in the size and scale that it was trained on (`LoadPicturesd`). pictures: of each sample.
    """

    def __init__(
        self,
        folder: str,
        frozen: bool = True,
        cache: str | None = None,
        pooling: Pooling = "cls",
        normalise: bool = False,
        pictures: int = 1,
    ) -> None:
        towers = ("vision_model", "image_model")
        super().__init__(folder, towers, frozen=frozen, cache=cache, pooling=pooling, normalise=normalise)
        if getattr(self.encoder, "main_input_name", "") != "pixel_values":
            raise ConfigError(f"{folder} holds a {type(self.encoder).__name__}, which reads no pictures")
        self.width = int(self.encoder.config.hidden_size)
        self.features = pictures * self.width

    def forward(self, pictures: Pictures) -> Float[Tensor, "batch features"]:
        """(batch, picture, 3, height, width) → (batch, features)."""
        each = pictures.flatten(0, 1)
        if not self.frozen:
            return self.pooled(self.encoder(pixel_values=each)).unflatten(0, pictures.shape[:2]).flatten(1)
        contents = [one.tobytes() for one in each.cpu().numpy()]
        vectors = self.by_content(
            contents, lambda some: self.pooled(self.encoder(pixel_values=each[torch.tensor(some)])), self.width
        )
        return torch.from_numpy(vectors).to(pictures.device).unflatten(0, pictures.shape[:2]).flatten(1)


class HuggingFaceJoint(FrozenFeatures):
    """A picture and a text, read together by a model whose states hold both (FLAVA, ViLT) → logits, by the published head.

    FLAVA's own towers give the other two kinds of features (`HuggingFacePictures`, `HuggingFaceEncoder`), from separate passes.
    """

    def __init__(
        self, folder: str, frozen: bool = True, cache: str | None = None, labels: int = 1, classes: int = 2
    ) -> None:
        super().__init__(folder, (), frozen=frozen, cache=cache, pooling="cls", normalise=False)
        if not {"vilt", "flava"} & {str(self.encoder.config.model_type)}:
            raise ConfigError(
                f"{folder} holds a {type(self.encoder).__name__}; ViLT and FLAVA read a picture and a text together"
            )
        self.features = int(self.encoder.config.hidden_size)
        self.head = FeatureHead(self.features, labels=labels, classes=classes)

    def forward(self, pictures: Pictures, tokens: Tokens) -> Logits:
        """(batch, 1, 3, height, width), (batch, chunk, token) → (batch, label, classes)."""
        words = trimmed(tokens).flatten(1)
        if not self.frozen:
            return self.head(self.encode(pictures[:, 0], words))
        pixels = pictures[:, 0].cpu().numpy()
        contents = [one.tobytes() + text for one, text in zip(pixels, contents_of(words), strict=True)]
        vectors = self.by_content(
            contents, lambda some: self.encode(pictures[some, 0], words[torch.tensor(some)]), self.features
        )
        return self.head(torch.from_numpy(vectors).to(pictures.device))

    def encode(self, pictures: Tensor, words: Int[Tensor, "some token"]) -> Float[Tensor, "some features"]:
        """(some, 3, height, width), (some, token) → (some, features): the first of the states that hold both."""
        given = {"input_ids": (words - 1).clamp(min=0), "attention_mask": (words != 0).long()}
        output: Any = self.encoder(pixel_values=pictures, **given)
        states = getattr(output, "multimodal_embeddings", None)
        return (output.last_hidden_state if states is None else states)[:, 0]


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
