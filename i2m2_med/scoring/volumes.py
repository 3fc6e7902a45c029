"""What is said about the items (slices) of a study, put together for the study as a whole."""

import torch
from torch import Tensor

from i2m2_med.model import Opinions


def together(said: Opinions, how: str) -> Opinions:
    """One answer of many: the model's and each expert's, over the items that it heard. how: `max`, `mean`, `noisy_or`."""
    experts = [
        pooled(log_probs[present], how) if bool(present.any()) else log_probs.new_zeros((1, *log_probs.shape[1:]))
        for log_probs, present in zip(said.experts, said.present, strict=True)
    ]
    return Opinions(pooled(said.log_probs, how), torch.stack(experts), said.present.any(dim=1, keepdim=True))


def pooled(log_probs: Tensor, how: str) -> Tensor:
    """(item, label, class) → (1, label, class) log-probabilities; class 0 is `absent`.

    mean: of probabilities. max: of each class but the first, of two classes the second. noisy_or: absent only if absent in
    every item, the other classes by their mean share. Every row sums to one.
    """
    p = log_probs.double().exp()
    mean = p.mean(dim=0, keepdim=True)
    if how == "mean":
        found = mean
    elif how == "max":
        most = p[:, :, 1:].amax(dim=0, keepdim=True)
        found = torch.cat([(1 - most.sum(dim=-1, keepdim=True)).clamp(min=0), most], dim=-1)
    else:
        absent = p[:, :, :1].prod(dim=0, keepdim=True)
        share = mean[:, :, 1:] / mean[:, :, 1:].sum(dim=-1, keepdim=True).clamp(min=1e-300)
        found = torch.cat([absent, (1 - absent) * share], dim=-1)
    return (found / found.sum(dim=-1, keepdim=True)).log().to(log_probs.dtype)
