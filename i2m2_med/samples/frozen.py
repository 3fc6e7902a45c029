"""MONAI dictionary transform from pictures, a text, or both to the vector that a frozen encoder gives them, computed once."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import polars.selectors as cs
import torch
from monai.transforms.transform import MapTransform
from torch import Tensor, nn

from i2m2_med.errors import ConfigError
from i2m2_med.samples.photographs import LoadPicturesd
from i2m2_med.sources.formats.photograph import check_photograph
from i2m2_med.sources.source import Progress
from i2m2_med.sources.text.word_pieces import word_pieces

AT_ONCE = 64


class Wanted(NamedTuple):
    """What one vector is of: a picture, a text's tokens (1, token), or both."""

    path: Path | None
    tokens: Tensor | None


class FrozenFeaturesd(MapTransform):
    """`_pictures` (paths), `_<text>`, or both → `<key>` (features,) float32, those of several pictures side by side; nothing where one
    of them is missing.

    Each content is encoded once, for all runs of the workspace (`experts.frozen_features`); what is not trained need not be read again.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        encoder: nn.Module,
        picture: str | None = None,
        text: str | None = None,
        size: Sequence[int] = (224, 224),
        standardise: bool = True,
        tokens: int = 32,
    ) -> None:
        """encoder: a frozen one of pictures, of texts, or of both. picture, text: the modalities that it reads, of `picture` and `text`.

        size, standardise: as of `LoadPicturesd`. tokens: word pieces that are kept, of the tokenizer in the encoder's folder.
        """
        super().__init__(keys)
        if getattr(encoder, "frozen", None) is not True:
            raise ConfigError("encoder has to be a frozen one, such as i2m2_med.experts.HuggingFacePictures")
        if picture is None and text is None:
            raise ConfigError("name what the encoder reads: picture, text, or both")
        if text is not None and not hasattr(encoder, "folder"):
            raise ConfigError(f"{type(encoder).__name__} has no tokenizer: it reads no text")
        self.encoder: Any = encoder
        self.picture, self.text, self.tokens = picture, text, tokens
        self.load = LoadPicturesd(("picture",), size, standardise)
        self.read_as = f"{tuple(size)} {standardise}".encode()
        self.hashes: dict[Path, bytes] = {}
        self.device = "cpu"

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        record = dict(data)
        vectors = self.vectors(self.wanted(record))
        if not vectors:
            return record
        one = vectors[0] if len(vectors) == 1 else torch.cat(vectors)  # one alone stays where it is mapped
        return {**record, str(self.keys[0]): one}

    def wanted(self, record: Mapping[str, Any]) -> list[Wanted]:
        """The contents of a record, none where one of its modalities is missing."""
        paths, tokens = [None], None
        if self.picture is not None:
            paths = [Path(path) for path in record["_pictures"]] if record.get(f"has_{self.picture}", True) else []
        if self.text is not None:
            text = str(record.get(f"_{self.text}") or "")
            if not text:
                return []
            tokens = torch.from_numpy(word_pieces([text], Path(self.encoder.folder), self.tokens)).long()
        return [Wanted(path, tokens) for path in paths]

    def vectors(self, wanted: Sequence[Wanted]) -> list[Tensor]:
        """The vector of each content, (features,) on the CPU."""
        return self.encoder.by_content(
            [self.content(each) for each in wanted], lambda some: self.encode([wanted[at] for at in some])
        )

    def content(self, wanted: Wanted) -> bytes:
        """What a vector depends on beside the encoder: the bytes of the picture's file and how it is read, the tokens."""
        path, tokens = wanted
        words = b"" if tokens is None else tokens.numpy().tobytes()
        if path is None:
            return words
        if path not in self.hashes:
            check_photograph(path)
            self.hashes[path] = hashlib.sha256(path.read_bytes()).digest()
        return self.hashes[path] + self.read_as + words

    def encode(self, wanted: Sequence[Wanted]) -> Tensor:
        """(content, features), as the encoder says."""
        inputs: list[Tensor] = []
        if self.picture is not None:
            inputs.append(torch.cat([self.load({"_pictures": [each.path]})["picture"] for each in wanted]))
        if self.text is not None:
            inputs.append(torch.cat([each.tokens for each in wanted if each.tokens is not None]))
        return self.encoder.encode(*(each.to(self.device) for each in inputs))

    def ahead(self, records: pl.DataFrame, device: str, progress: Progress) -> None:
        """Encode what is not known yet of all records, many contents at a time."""
        read = records.select(cs.starts_with("_", "has_"))
        self.move(device)
        parts = progress.track(read.iter_slices(AT_ONCE), f"encoding {self.keys[0]}", -(-len(records) // AT_ONCE))
        for part in parts:
            self.vectors([each for record in part.iter_rows(named=True) for each in self.wanted(record)])
        self.encoder.store().flush()
        self.move("cpu")  # where worker processes may use it

    def move(self, device: str) -> None:
        """Encode on this device from here on."""
        self.device = device
        self.encoder.to(device)


def encode_ahead(transform: Any, records: pl.DataFrame, device: str, progress: Progress) -> None:
    """Let the frozen encoders among the steps of MONAI's Compose encode what is not known yet of all records."""
    for step in getattr(transform, "transforms", ()):
        if isinstance(step, FrozenFeaturesd):
            step.ahead(records, device, progress)
