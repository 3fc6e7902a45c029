"""Settings of how text becomes tokens; a data set's own settings of its texts add to them."""

from pathlib import Path

from pydantic import Field, model_validator

from i2m2_med.config import settings


class Text(settings.Settings):
    """Turning texts into tokens."""

    chunks: int = Field(8, ge=1)
    """Chunks kept per sample, the latest ones."""
    tokens: int = Field(128, ge=8)
    """Tokens per chunk."""
    overlap: int = Field(16, ge=0)
    """Tokens that a chunk shares with the one before it, of the same text."""
    vocabulary: int = Field(20_000, ge=128)
    """Size of the embedding: 0 is padding, 1 … 64 say the hour of a chunk, the rest are hash buckets of words. Nothing is fitted."""
    tokenizer: Path | None = None
    """Local folder of a Hugging Face tokenizer: its word pieces instead of hashed words, for `HuggingFaceNotes`; no hour tokens."""

    @model_validator(mode="after")
    def check_overlap(self) -> "Text":
        """Raise ValueError where a chunk would bring no word that the one before it lacks."""
        if self.overlap >= self.tokens - 1:
            raise ValueError("overlap must be smaller than tokens − 1 (one token says the hour)")
        return self
