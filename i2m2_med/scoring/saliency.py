"""Where in an image an expert looks: MONAI's GradCAM on its last convolution, or occlusion where it has none."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.model import I2M2
from i2m2_med.scoring.reading import Chunk

OCCLUDED = 16
"""Side of the patch that occlusion hides, in pixels."""

Maps = Float[np.ndarray, "item label height width"]


class Stacked(nn.Module):
    """An expert that reads its modalities as channels of one image and answers in one row."""

    def __init__(self, network: nn.Module, channels: Sequence[int]) -> None:
        super().__init__()
        self.network, self.channels = network, list(channels)

    def forward(self, x: Tensor) -> Float[Tensor, "batch answers"]:
        """(batch, channel, height, width) → (batch, label · classes)."""
        return self.network(*x.split(self.channels, dim=1)).flatten(1)


def saliency_maps(predictor: Predictor, chunk: Chunk) -> dict[str, Maps]:
    """Return, by expert, a map per item and label for the last class; zero where the expert is absent, non-negative, no unit."""
    batch = chunk.batch().to(predictor.device)
    maps: dict[str, Maps] = {}
    assert isinstance(predictor.model, I2M2)  # `Extras` refuses ensembles
    experts = predictor.model.experts
    for name in predictor.model.names:
        reads = predictor.model.reads[name]
        images = [batch.inputs[modality] for modality in reads]
        there = torch.stack([batch.present[modality] for modality in reads]).all(dim=0)
        if not bool(there.any()) or any(image.ndim != 4 for image in images):
            continue
        stacked = torch.cat([image[there] for image in images], dim=1)
        network = Stacked(experts[name], [image.shape[1] for image in images]).eval()
        labels, classes = predictor.model.shape
        each = torch.zeros((len(there), labels, *stacked.shape[2:]))
        for label in range(labels):
            each[there.cpu(), label] = one_map(network, stacked, label * classes + classes - 1).cpu()
        maps[name] = each.numpy()
    return maps


def one_map(network: nn.Module, images: Tensor, answer: int) -> Float[Tensor, "item height width"]:
    """Return the map of one of a network's answers."""
    from monai.visualize.class_activation_maps import GradCAM
    from monai.visualize.occlusion_sensitivity import OcclusionSensitivity

    convolutions = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    if convolutions:
        with torch.enable_grad():
            cam = GradCAM(network, convolutions[-1], postprocessing=torch.nn.functional.relu)
            return torch.as_tensor(cam(images, class_idx=answer)).detach()[:, 0]
    hidden = OcclusionSensitivity(network, mask_size=OCCLUDED, n_batch=16, verbose=False)
    drops: list[Tensor] = []
    for image in images:
        masked, _ = hidden(image[None])
        with torch.no_grad():
            whole = network(image[None])[0, answer]
        drops.append((whole - torch.as_tensor(masked)[0, answer]).clamp(min=0))
    return torch.stack(drops)
