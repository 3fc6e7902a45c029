"""What a step keeps for its backward pass, counted on a few samples."""

from scipy.stats import binom
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from i2m2_med.config.run import RunConfig
from i2m2_med.engine.prediction.build import build_model, holding, probe_rows
from i2m2_med.model import I2M2
from i2m2_med.samples.batch import Batch
from i2m2_med.samples.cohort import Cohort

FEW = 8
"""Samples on which activations are counted: what they keep grows with their number, and a whole batch may not fit."""


def activations(run: RunConfig, cohort: Cohort, batch: int) -> dict[str, int]:
    """Return by expert the bytes that its forward pass on a whole batch keeps for the backward pass.

    Of what not every sample has, on as many as a batch in a thousand has more of.
    """
    train = cohort.samples("train")
    whole = min(batch, len(train))
    found: dict[str, int] = {}
    for name in run.experts:
        model = build_model(run, [name], cohort.labels, 0)
        share = float(holding(model, name, train, lenient=name in model.lenient).float().mean())
        rows = holding(model, name, train).nonzero()[:FEW, 0].tolist() or list(probe_rows(model, name, train))
        rows = rows[:whole]
        read = max(1, int(binom.ppf(0.999, whole, share)))
        found[name] = round(kept(model, train.__getitems__(rows)) * read / len(rows))
    return found


def kept(model: I2M2, batch: Batch) -> int:
    """Return the bytes that a forward pass in training keeps for the backward pass, beside weights and inputs."""
    known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *batch.inputs.values())}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        said = model.train()(batch.inputs, batch.present)
    del said  # until here nothing that was kept is freed, so that no place is used twice
    return sum(size for place, size in found.items() if place not in known)
