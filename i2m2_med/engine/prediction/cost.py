"""What a prediction costs: floating point operations of each expert on one sample."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from i2m2_med.engine.prediction.loading import loader
from i2m2_med.engine.prediction.predict import patterns
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples


def expert_flops(model: I2M2, samples: Samples, device: str) -> dict[str, int]:
    """Return by expert the operations of one forward pass (matrix products and convolutions), on the first sample that every expert reads.

    Empty where there is no such sample.
    """
    whole = [all(model.can_answer(name, one.split("+")) for name in model.names) for one in patterns(samples)]
    if not any(whole):
        return {}
    one = next(iter(loader(samples.take(np.flatnonzero(whole)[:1]), 1))).to(device)
    model.to(device).eval()
    counted: dict[str, int] = {}
    for name in model.names:
        with torch.no_grad(), in_products(), FlopCounterMode(display=False) as counter:
            model.ask(name, one.inputs, one.present)
        counted[name] = int(counter.get_total_flops())
    return counted


@contextmanager
def in_products() -> Generator[None]:
    """Run attention and recurrent layers as the products that they consist of: the counter takes those done in one piece for nothing."""
    backends = torch.backends
    before: tuple[Any, ...] = backends.mha.get_fastpath_enabled(), backends.mkldnn.enabled, backends.cudnn.enabled

    def choose(fast: bool, mkldnn: bool, cudnn: bool) -> None:
        backends.mha.set_fastpath_enabled(fast)
        backends.mkldnn.enabled, backends.cudnn.enabled = mkldnn, cudnn

    choose(False, False, False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        choose(*before)
