"""What a forward pass keeps for the backward pass: all of it, or one expert's activations on one part of the batch at a time.

The rest is computed again when its gradient is due (`torch.utils.checkpoint`), with the same random numbers and from the same buffers.
Losses see the whole batch either way, so that gradients are the same.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from i2m2_med.engine.prediction.seed import draw_again, state_of_draws
from i2m2_med.model import Answer

Buffers = list[tuple[nn.Module, str, Tensor]]
"""Module, name, value."""


def forgotten(ask: Callable[[], Answer], expert: nn.Module, inputs: Sequence[Tensor]) -> Answer:
    """Return what `ask` says of an expert that reads `inputs`, of which it will be asked again when the gradient is due.

    Reentrant, so that the first time leaves no graph at all: a tenth of a step less than hooks on each tensor that would be saved.
    """
    if not any(parameter.requires_grad for parameter in expert.parameters()):
        return ask()
    before, drawn = [(at, name, one.clone()) for at, name, one in buffers(expert)], state_of_draws()

    def asked(due: Tensor, *_: Tensor) -> Answer:
        if not torch.is_grad_enabled():  # the first time
            log_probs, there, own = ask()
            # what is returned becomes a part of the graph, and an expert's own loss may be a constant
            return log_probs, there, own.clone()
        with taken_back(expert, before), draw_again(drawn):
            log_probs, there, own = ask()
        return log_probs if log_probs.requires_grad else log_probs + due, there, own  # nobody was there to judge

    due = torch.zeros((), requires_grad=True)  # inputs ask for no gradient
    return checkpoint(asked, due, *inputs, use_reentrant=True)  # pyright: ignore[reportReturnType]


def buffers(expert: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """Yield an expert's buffers: what it keeps from batch to batch, such as running statistics."""
    for module in expert.modules():
        for name, tensor in module.named_buffers(recurse=False):
            yield module, name, tensor


@contextmanager
def taken_back(expert: nn.Module, before: Buffers) -> Generator[None]:
    """Compute with the buffers of an earlier time meanwhile, so that no batch counts twice. They are exchanged, not written to: a
    graph may hold them."""
    now = list(buffers(expert))
    for module, name, tensor in before:
        setattr(module, name, tensor)
    try:
        yield
    finally:
        for module, name, tensor in now:
            setattr(module, name, tensor)
