"""Texts, pictures, and both through a Hugging Face encoder from a local folder (extra `text`); nothing is ever fetched."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from i2m2_med.errors import ConfigError
from i2m2_med.experts.feature_head import FeatureHead
from i2m2_med.experts.frozen_features import FrozenFeatures, FrozenPictures, Pictures, pixels_of
from i2m2_med.experts.local_model import Pooling, load_encoder, load_tower, pooled, settings_of
from i2m2_med.experts.notes import AttentionPool, trimmed
from i2m2_med.types import Logits, Tokens


class HuggingFaceEncoder(FrozenFeatures):
    """Chunks of word pieces → features: one vector of each chunk, attention over chunks.

    folder: an encoder saved by `save_pretrained` (Bio_ClinicalBERT and its kind), with its tokenizer beside it; of a model of
    pictures and texts its text tower. Tokens are the tokenizer's numbers plus 1, as `sources.word_pieces` writes them; 0 is padding.
    pooling: of a chunk's states the first (`cls`), the mean over what is there, or what the model's own pooler says. normalise: divide
    vectors by their length. frozen: the model is not trained, and each content is encoded once.
    """

    def __init__(self, folder: str, frozen: bool = True, pooling: Pooling = "cls", normalise: bool = False) -> None:
        model = load_tower(Path(folder), ("text_model",), "input_ids", pooling)
        super().__init__(
            model,
            int(model.config.hidden_size),
            frozen=frozen,
            how=f"{pooling} {normalise} {settings_of(Path(folder))}",
        )
        self.folder, self.normalise = folder, normalise
        self.pooling: Pooling = pooling
        self.over_chunks = AttentionPool(self.features)

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch features"]:
        """(batch, chunk, token), 0 = padding → (batch, features)."""
        tokens = trimmed(tokens)
        there = (tokens != 0).any(dim=-1)
        chunks = tokens[there]
        if self.frozen:
            vectors = self.remembered(contents_of(chunks), lambda some: self.encode(chunks[some]), chunks.device)
        else:
            vectors = self.encode(chunks)
        spread = vectors.new_zeros((*there.shape, self.features))
        spread[there] = vectors
        return self.over_chunks(spread, there)

    def encode(self, tokens: Int[Tensor, "some token"]) -> Float[Tensor, "some features"]:
        """(chunk, token) → (chunk, features), as the encoder says."""
        mask = (tokens != 0).long()
        output = self.encoder(input_ids=(tokens - 1).clamp(min=0), attention_mask=mask)
        return pooled(output, self.pooling, self.normalise, mask)


def contents_of(tokens: Int[Tensor, "some token"]) -> list[bytes]:
    """Each row's tokens without padding, as bytes."""
    return [np.trim_zeros(row, "b").astype("<i8").tobytes() for row in tokens.cpu().numpy()]


class HuggingFacePictures(FrozenPictures):
    """Pictures → features, those of a sample's several pictures side by side.

    folder: a ViT, Swin, CLIP, SigLIP or FLAVA saved by `save_pretrained`; of a model of pictures and texts its picture tower. Pictures
    come in the size and scale that it was trained on (`LoadPicturesd`). pictures: of each sample; the others as of `HuggingFaceEncoder`.
    """

    def __init__(
        self,
        folder: str,
        frozen: bool = True,
        pooling: Pooling = "cls",
        normalise: bool = False,
        pictures: int = 1,
    ) -> None:
        model = load_tower(Path(folder), ("vision_model", "image_model"), "pixel_values", pooling)
        super().__init__(
            model,
            int(model.config.hidden_size),
            pictures,
            frozen=frozen,
            how=f"{pooling} {normalise} {settings_of(Path(folder))}",
        )
        self.normalise = normalise
        self.pooling: Pooling = pooling

    def encode(self, pictures: Float[Tensor, "some channel rows columns"]) -> Float[Tensor, "some width"]:
        """(some, 3, height, width) → (some, width), as the encoder says."""
        return pooled(self.encoder(pixel_values=pictures), self.pooling, self.normalise)


class HuggingFacePair(FrozenFeatures):
    """A picture and a text, read together by a model whose states hold both (FLAVA, ViLT) → features: the first of those states.

    Of a sample's several pictures, each is read with the text, and the features lie side by side. FLAVA's own towers give the other two
    kinds of features (`HuggingFacePictures`, `HuggingFaceEncoder`), from separate passes.
    """

    def __init__(self, folder: str, frozen: bool = True, pictures: int = 1) -> None:
        model = load_encoder(Path(folder))
        if str(model.config.model_type) not in {"vilt", "flava"}:
            raise ConfigError(
                f"{folder} holds a {type(model).__name__}; ViLT and FLAVA read a picture and a text together"
            )
        features = pictures * int(model.config.hidden_size)
        super().__init__(model, features, frozen=frozen, how=settings_of(Path(folder)))
        self.folder = folder

    def forward(self, pictures: Pictures, tokens: Tokens) -> Float[Tensor, "batch features"]:
        """(batch, picture, 3, height, width), (batch, chunk, token) → (batch, features)."""
        each = pictures.flatten(0, 1)
        words = trimmed(tokens).flatten(1).repeat_interleave(pictures.shape[1], dim=0)
        if self.frozen:
            contents = [one + text for one, text in zip(pixels_of(each), contents_of(words), strict=True)]
            vectors = self.remembered(contents, lambda some: self.encode(each[some], words[some]), each.device)
        else:
            vectors = self.encode(each, words)
        return vectors.unflatten(0, pictures.shape[:2]).flatten(1)

    def encode(self, pictures: Tensor, tokens: Int[Tensor, "some token"]) -> Float[Tensor, "some width"]:
        """(some, 3, height, width), (some, token) → (some, width): the first of the states that hold both."""
        given = {"input_ids": (tokens - 1).clamp(min=0), "attention_mask": (tokens != 0).long()}
        output: Any = self.encoder(pixel_values=pictures, **given)
        states = getattr(output, "multimodal_embeddings", None)
        return (output.last_hidden_state if states is None else states)[:, 0]


class HuggingFaceJoint(nn.Module):
    """Pictures and a text → logits, through `HuggingFacePair` and the published head."""

    def __init__(self, folder: str, frozen: bool = True, pictures: int = 1, labels: int = 1, classes: int = 2) -> None:
        super().__init__()
        self.encoder = HuggingFacePair(folder, frozen, pictures)
        self.head = FeatureHead(self.encoder.features, labels=labels, classes=classes)

    def forward(self, pictures: Pictures, tokens: Tokens) -> Logits:
        """(batch, picture, 3, height, width), (batch, chunk, token) → (batch, label, classes)."""
        return self.head(self.encoder(pictures, tokens))


class HuggingFaceNotes(nn.Module):
    """Chunks of word pieces → logits, through `HuggingFaceEncoder`."""

    def __init__(self, folder: str, frozen: bool = True, labels: int = 1, classes: int = 2) -> None:
        super().__init__()
        self.labels = labels
        self.encoder = HuggingFaceEncoder(folder, frozen)
        self.head = nn.Linear(self.encoder.features, labels * classes)

    def forward(self, tokens: Tokens) -> Logits:
        """(batch, chunk, token), 0 = padding → (batch, label, classes)."""
        return self.head(self.encoder(tokens)).unflatten(1, (self.labels, -1))
