"""Where in an image an expert looks: MONAI's GradCAM on its last convolution, or occlusion where it has none."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.model import I2M2
from i2m2_med.samples.batch import Batch

OCCLUDED = 16
"""Side of the patch that occlusion hides, in pixels."""

Maps = Float[np.ndarray, "item answer *space"]


class Stacked(nn.Module):
    """An expert that reads its modalities as channels of one image and answers in one row."""

    def __init__(self, network: nn.Module, channels: Sequence[int]) -> None:
        super().__init__()
        self.network, self.channels = network, list(channels)

    def forward(self, x: Tensor) -> Float[Tensor, "batch answers"]:
        """(batch, channel, …) → (batch, label · classes)."""
        return self.network(*x.split(self.channels, dim=1)).flatten(1)


def saliency_maps(predictor: Predictor, batch: Batch, answers: Sequence[int]) -> dict[str, Maps]:
    """Return, by expert of images of one size, a map per item and answer; zero where the expert is absent, non-negative, no unit.

    An expert of sets (`of_sets`) has none.

    answers: places in a row of label · classes.
    """
    batch = batch.to(predictor.device)
    maps: dict[str, Maps] = {}
    assert isinstance(predictor.model, I2M2)  # an ensemble has no expert of its own: callers ask none
    experts = predictor.model.to(predictor.device).experts
    for name in predictor.model.names:
        reads = predictor.model.reads[name]
        images = [batch.inputs[modality] for modality in reads]
        there = torch.stack([batch.present[modality] for modality in reads]).all(dim=0)
        sizes = {tuple(image.shape[2:]) for image in images}
        if not bool(there.any()) or len(sizes) > 1 or any(image.ndim not in {4, 5} for image in images):
            continue
        if getattr(experts[name], "of_sets", False):
            continue
        stacked = torch.cat([image[there] for image in images], dim=1)
        network = Stacked(experts[name], [image.shape[1] for image in images]).eval()
        each = torch.zeros((len(there), len(answers), *stacked.shape[2:]))
        for at, answer in enumerate(answers):
            each[there.cpu(), at] = one_map(network, stacked, answer).cpu()
        maps[name] = each.numpy()
    return maps


def one_map(network: nn.Module, images: Tensor, answer: int) -> Float[Tensor, "item *space"]:
    """Return the map of one of a network's answers."""
    from monai.visualize.class_activation_maps import GradCAM
    from monai.visualize.occlusion_sensitivity import OcclusionSensitivity

    convolutions = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Conv3d)]
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
