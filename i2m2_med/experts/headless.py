"""Any image network of MONAI as an encoder: its head is taken off, its last features are pooled."""

from collections.abc import Generator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.errors import ConfigError

HEADS = ("class_layers.out", "last_linear", "_fc", "fc", "classification_head")
"""Where MONAI's classifiers have their last layer: DenseNet, SENet, EfficientNet, ResNet, ViT."""

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class ImageEncoder(nn.Module):
    """Images → features, of a MONAI network without its head (DenseNet121, ResNet, SENet, EfficientNet, ViT; SwinUNETR's encoder).

    network: any of them, or another that answers (batch, features[, …]) or a list of such maps; then `features` says how many.
    Space that is left is averaged over.
    """

    def __init__(self, network: nn.Module, features: int | None = None) -> None:
        super().__init__()
        head = next((name for name in HEADS if has(network, name)), None)
        swin: Any = getattr(network, "swinViT", None)
        if head is not None and features is None:
            features = width_of(attrgetter(head)(network))
            replace(network, head)
        elif swin is not None and features is None:
            network, features = swin, 2 * int(swin.num_features)
        if features is None:
            raise ConfigError(
                f"the head of {type(network).__name__} is not known; say how many features it answers, features: N"
            )
        self.network, self.features = network, features

    def forward(self, image: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch features"]:
        """(batch, channel, …) → (batch, features)."""
        with running_statistics(self.network, image.shape[0] == 1):
            answer: Any = self.network(image)
        if isinstance(answer, list | tuple):  # maps from fine to coarse; ViT: the features, then its hidden states
            answer = answer[0] if answer[0].ndim == 2 else answer[-1]
        features = answer.flatten(2).mean(dim=2) if answer.ndim > 2 else answer
        if features.shape[1] != self.features:
            raise ValueError(f"the network answers {features.shape[1]} features, not {self.features}")
        return features


@contextmanager
def running_statistics(network: nn.Module, alone: bool) -> Generator[None]:
    """Let BatchNorm use its running statistics for a sample that is alone in its batch: it has no spread of its own.

    Such batches come where most samples lack the modality.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, NORMS) and layer.training] if alone else []
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


def has(network: nn.Module, name: str) -> bool:
    """Whether a network has a layer of this dotted name."""
    try:
        return isinstance(attrgetter(name)(network), nn.Module)
    except AttributeError:
        return False


def width_of(head: nn.Module) -> int:
    """The features that a head reads."""
    return next(layer.in_features for layer in head.modules() if isinstance(layer, nn.Linear))


def replace(network: nn.Module, head: str) -> None:
    """Put an identity in place of a network's head."""
    outer, _, name = head.rpartition(".")
    setattr(attrgetter(outer)(network) if outer else network, name, nn.Identity())
