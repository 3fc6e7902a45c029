"""Features of a local Hugging Face model that is not trained: each content is encoded once, with `cache` (a file) once for all runs."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.errors import ConfigError, extra_hint
from i2m2_med.experts.content_cache import ContentCache

AT_ONCE = 64
Pooling = Literal["cls", "mean", "pooler"]


class FrozenFeatures(nn.Module):
    """A model of a local folder, or one tower of it, whose vectors are remembered by content where it is frozen.

    pooling: of the states of a text or picture, the first (`cls`), the mean over what is there, or what the model's own pooler says.
    normalise: divide vectors by their length. frozen: the model is not trained.
    """

    def __init__(
        self, folder: str, tower: Sequence[str], *, frozen: bool, cache: str | None, pooling: Pooling, normalise: bool
    ) -> None:
        super().__init__()
        model = load_encoder(Path(folder))
        self.encoder = next((getattr(model, name) for name in tower if hasattr(model, name)), model)
        self.frozen, self.pooling, self.normalise = frozen, pooling, normalise
        if frozen:
            self.encoder.requires_grad_(False).eval()
        self.cache = ContentCache(Path(cache) if cache else None)
        self.identity: bytes | None = None

    def train(self, mode: bool = True) -> "FrozenFeatures":
        """A frozen encoder stays in evaluation mode: no dropout, the same vector for the same content."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def pooled(self, output: Any, there: Tensor | None = None) -> Float[Tensor, "some features"]:
        """One vector of each text or picture. there: (some, token), which states count for `mean`. Raises ConfigError without a pooler."""
        states: Tensor = output.last_hidden_state
        if self.pooling == "pooler":
            if getattr(output, "pooler_output", None) is None:
                raise ConfigError(f"{type(self.encoder).__name__} has no pooler; set pooling to cls or mean")
            vectors = output.pooler_output
        elif self.pooling == "mean":
            weight = torch.ones_like(states[..., 0]) if there is None else there.to(states.dtype)
            vectors = (states * weight[..., None]).sum(dim=1) / weight.sum(dim=1, keepdim=True).clamp_min(1)
        else:
            vectors = states[:, 0]
        return nn.functional.normalize(vectors, dim=-1) if self.normalise else vectors

    @torch.no_grad()
    def by_content(
        self, contents: Sequence[bytes], encode: Callable[[list[int]], Tensor], features: int
    ) -> Float[np.ndarray, "some features"]:
        """Vectors of some contents, each of which is encoded once. encode: places in `contents` → (place, features)."""
        keys = [hashlib.sha256(self.weights() + content).digest() for content in contents]
        known = self.cache.get(keys)
        places = list({key: place for place, key in enumerate(keys) if key not in known}.values())
        for start in range(0, len(places), AT_ONCE):
            some = places[start : start + AT_ONCE]
            made = {keys[place]: one for place, one in zip(some, encode(some).float().cpu().numpy(), strict=True)}
            self.cache.put(made)
            known |= made
        return np.stack([known[key] for key in keys]) if keys else np.zeros((0, features), np.float32)

    def weights(self) -> bytes:
        """A hash of the encoder's weights, and of how its states become one vector."""
        if self.identity is None:
            hashed = hashlib.sha256()
            for name, tensor in sorted(self.encoder.state_dict().items()):
                hashed.update(name.encode())
                hashed.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
            if (self.pooling, self.normalise) != (
                "cls",
                False,
            ):  # vectors that were kept before there was a choice stay valid
                hashed.update(f"{self.pooling} {self.normalise}".encode())
            self.identity = hashed.digest()
        return self.identity


def load_encoder(folder: Path) -> Any:
    """The model of a local folder. Raises ConfigError if it is no such folder; a hub's name is never looked up."""
    try:
        from transformers import AutoModel
        from transformers.utils import logging
    except ImportError as error:
        raise ConfigError(f"Hugging Face encoders need the transformers package: {extra_hint('text')}") from error
    logging.disable_progress_bar()
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"{folder} holds no config.json; name the local folder of an encoder saved by save_pretrained"
        )
    try:
        return AutoModel.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} can't be loaded as an encoder: {str(error).splitlines()[0]}") from error
