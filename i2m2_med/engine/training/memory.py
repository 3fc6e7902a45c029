"""What a forward pass keeps for the backward pass: all of it, or one expert's activations on one part of the batch at a time.

The rest is computed again when its gradient is due (`torch.utils.checkpoint`), with the same random numbers. Losses see the whole
batch either way, so that gradients are the same.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.utils.checkpoint import checkpoint

from i2m2_med.model import Answer


def forgotten(ask: Callable[[], Answer], expert: nn.Module, inputs: Sequence[Tensor]) -> Answer:
    """Return what `ask` says of an expert that reads `inputs`, of which it will be asked again when the gradient is due."""
    return checkpoint(lambda *_: ask(), *inputs, use_reentrant=False, context_fn=lambda: contexts(expert))  # pyright: ignore[reportReturnType]


def contexts(expert: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """The contexts of the first and of the second computation."""
    return nullcontext(), once(expert)


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
