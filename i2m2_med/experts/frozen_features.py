"""Features of an encoder that is not trained: each content is encoded once, and kept for all runs of the workspace."""

import hashlib
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.experts.feature_store import FeatureStore, Vector, store_in
from i2m2_med.workspace import workspace

AT_ONCE = 64
Pictures = Float[Tensor, "batch picture channel rows columns"]


class FrozenFeatures(nn.Module):
    """An encoder whose vectors are remembered by content where it is frozen.

    An encoder has `encode`, which says (some, features) of some contents. features: of each sample. frozen: the
    encoder is not trained. how: what decides on the vectors beside the weights.
    """

    def __init__(self, encoder: nn.Module, features: int, *, frozen: bool, how: str = "") -> None:
        super().__init__()
        self.encoder, self.features, self.frozen, self.how = encoder, features, frozen, how
        if frozen:
            self.encoder.requires_grad_(False).eval()
        self.identity: str | None = None

    def train(self, mode: bool = True) -> "FrozenFeatures":
        """A frozen encoder stays in evaluation mode: no dropout, the same vector for the same content."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    @torch.no_grad()
    def by_content(self, contents: Sequence[bytes], encode: Callable[[list[int]], Tensor]) -> list[Vector]:
        """Vectors of some contents, on the CPU, each of which is encoded once. encode: places in `contents` → (place, features)."""
        store = self.store()
        keys = [hashlib.sha256(content).digest() for content in contents]
        known = {key: store.get(key) for key in dict.fromkeys(keys)}
        places = list({key: place for place, key in enumerate(keys) if known[key] is None}.values())
        for start in range(0, len(places), AT_ONCE):
            some = places[start : start + AT_ONCE]
            for place, vector in zip(some, self.exactly(encode, some).cpu().clone(), strict=True):
                known[keys[place]] = vector
                store.put(keys[place], vector)
        return [vector for key in keys if (vector := known[key]) is not None]

    def exactly(self, encode: Callable[[list[int]], Tensor], places: list[int]) -> Float[Tensor, "some features"]:
        """In float32, whatever the precision of the training that asks first: other runs read the same vectors."""
        kind = next((parameter.device.type for parameter in self.encoder.parameters()), "cpu")
        with torch.autocast(kind, enabled=False):
            return encode(places).float()

    def remembered(
        self, contents: Sequence[bytes], encode: Callable[[list[int]], Tensor], device: torch.device
    ) -> Float[Tensor, "some features"]:
        """As `by_content`, as one tensor on a device."""
        vectors = self.by_content(contents, encode)
        return (torch.stack(vectors) if vectors else torch.zeros((0, self.features))).to(device)

    def store(self) -> FeatureStore:
        """Where this encoder's vectors are kept."""
        return store_in(workspace() / "cache" / "features" / self.digest())

    def digest(self) -> str:
        """The sha256 of the encoder's weights and of how its states become one vector."""
        if self.identity is None:
            hashed = hashlib.sha256(self.how.encode())
            for name, tensor in sorted(self.encoder.state_dict().items()):
                hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                hashed.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
            self.identity = hashed.hexdigest()
        return self.identity


def pixels_of(pictures: Float[Tensor, "some channel rows columns"]) -> list[bytes]:
    """Each picture's shape and pixels, as bytes: a plain one has the same bytes in another shape."""
    shape = str(tuple(pictures.shape[1:])).encode()
    return [shape + one.tobytes() for one in pictures.cpu().numpy()]


class FrozenPictures(FrozenFeatures):
    """An encoder of pictures → features, those of a sample's several pictures side by side.

    width: features of each picture. pictures: of each sample.
    """

    encode: Callable[..., Float[Tensor, "some width"]]

    def __init__(self, encoder: nn.Module, width: int, pictures: int, *, frozen: bool, how: str = "") -> None:
        super().__init__(encoder, pictures * width, frozen=frozen, how=how)

    def forward(self, pictures: Pictures) -> Float[Tensor, "batch features"]:
        """(batch, picture, 3, height, width) → (batch, features)."""
        each = pictures.flatten(0, 1)
        if self.frozen:
            vectors = self.remembered(pixels_of(each), lambda some: self.encode(each[some]), each.device)
        else:
            vectors = self.encode(each)
        return vectors.unflatten(0, pictures.shape[:2]).flatten(1)
