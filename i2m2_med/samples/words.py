"""MONAI dictionary transform from a record's text to hashed words: nothing is fitted, so nothing can pass between splits."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.transforms.transform import MapTransform

from i2m2_med.sources.text.chunks import WORD
from i2m2_med.sources.text.tokens import token


class HashedWordsd(MapTransform):
    """`_<key>` (a text) → `<key>` (1, token) int64, 0 = padding; nothing where there is no text.

    A text of more words than `size` is cut at its end.
    """

    def __init__(self, keys: str | Sequence[str] = ("sentence",), vocabulary: int = 4096, size: int = 32) -> None:
        """vocabulary: as many as the encoder's embedding has; size: words that are kept."""
        super().__init__(keys)
        self.vocabulary, self.size = vocabulary, size

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        record = dict(data)
        for key in map(str, self.keys):
            words = WORD.findall(str(record.get(f"_{key}") or "").lower())[: self.size]
            if words:
                line = torch.zeros((1, self.size), dtype=torch.int64)
                line[0, : len(words)] = torch.tensor([token(word, self.vocabulary) for word in words])
                record[key] = line
        return record
