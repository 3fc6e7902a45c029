"""OGM-GE (Peng, Wei, Deng, Wang and Hu, "Balanced Multimodal Learning via On-the-fly Gradient Modulation", CVPR 2022): an expert
that is ahead of the others learns more slowly, with noise in its gradient.

    s_u = Σᵢ p_u(yᵢ | xᵢ),   ρ_u = s_u / mean of the others' s,   k_u = 1 − tanh(α ρ_u) where ρ_u > 1, else 1        (Eq. 8–10)
    g_u ← k_u g_u + N(0, σ²),   σ the standard deviation of g_u                                                     (Eq. 12)

Experts stand for their modality encoders: a product of experts is their sum of logits, so that p_u is theirs too. As in the published
code only weights of two axes or more are modulated, biases and norms are not, and only in the first half of training (50 of 100
epochs). There it is two modalities; the mean of the others makes it any number.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from i2m2_med.errors import ConfigError
from i2m2_med.model import I2M2, Opinions
from i2m2_med.types import Target

SHARE_OF_EPOCHS = 0.5
Scores = Float[Tensor, "expert"]


def check_experts(model: I2M2) -> None:
    """Raise ConfigError for a paradigm of one expert: there is nobody to balance it with."""
    if len(model.names) < 2:
        raise ConfigError(
            f"training.mode: ogm-ge balances experts with one another, and '{''.join(model.names)}' is alone; take joint"
        )


def scores(opinions: Opinions, target: Target) -> Scores:
    """The mean probability that each expert gives to the truth, over the known labels of the samples that it reads."""
    known = (target >= 0) & opinions.present[:, :, None]
    index = target.clamp_min(0).expand(known.shape)
    truth = opinions.experts.detach().gather(3, index[..., None])[..., 0].exp()
    return torch.where(known, truth, 0.0).sum(dim=(1, 2)) / known.sum(dim=(1, 2)).clamp_min(1)


def coefficients(score: Scores, alpha: float) -> Scores:
    """k_u: at most one, and one for every expert that is behind the mean of the others.

    >>> coefficients(torch.tensor([0.6, 0.3]), 0.5)
    tensor([0.2384, 1.0000])
    """
    others = (score.sum() - score) / (len(score) - 1)
    ratio = score / others.clamp_min(torch.finfo(score.dtype).tiny)
    return torch.where(ratio > 1, 1 - torch.tanh(alpha * ratio), torch.ones_like(ratio))


@torch.no_grad()
def modulate(model: I2M2, opinions: Opinions, target: Target, alpha: float) -> None:
    """Scale the gradients of each expert's weights in place, and add noise of their own spread."""
    by_expert = coefficients(scores(opinions, target), alpha)
    for name, factor in zip(model.names, by_expert, strict=True):
        for parameter in model.experts[name].parameters():
            gradient = parameter.grad
            if gradient is not None and gradient.ndim > 1:
                gradient.copy_(factor * gradient + gradient.std(correction=0) * torch.randn_like(gradient))
