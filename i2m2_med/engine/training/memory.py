"""What a forward pass keeps for the backward pass: all of it, or one expert's activations on one part of the batch at a time.

The rest is computed again when its gradient is due (`torch.utils.checkpoint`), with the same random numbers. Losses see the whole
batch either way, so that gradients are the same.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.utils.checkpoint import checkpoint

from i2m2_med.model import Answer


def forgotten(ask: Callable[[], Answer], expert: nn.Module, inputs: Sequence[Tensor]) -> Answer:
    """Return what `ask` says of an expert that reads `inputs`, of which it will be asked again when the gradient is due.

    Reentrant, so that the first time leaves no graph at all: a tenth of a step less than hooks on each tensor that would be saved.
    """
    if not any(parameter.requires_grad for parameter in expert.parameters()):
        return ask()

    def asked(due: Tensor, *_: Tensor) -> Answer:
        if not torch.is_grad_enabled():  # the first time
            return ask()
        with once(expert):
            log_probs, there, own = ask()
        return log_probs if log_probs.requires_grad else log_probs + due, there, own  # nobody was there to judge

    due = torch.zeros((), requires_grad=True)  # inputs ask for no gradient
    return checkpoint(asked, due, *inputs, use_reentrant=True)  # pyright: ignore[reportReturnType]


@contextmanager
def once(expert: nn.Module) -> Generator[None]:
    """Keep batch norms from counting a batch a second time."""
    norms = [one for one in expert.modules() if isinstance(one, _BatchNorm) and one.num_batches_tracked is not None]
    before = [(one.momentum, one.num_batches_tracked.clone()) for one in norms if one.num_batches_tracked is not None]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked = count
