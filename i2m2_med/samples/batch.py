"""A batch of samples: modality tensors, which of them were acquired, and the target."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Bool, Int
from torch import Tensor

from i2m2_med.types import SoftTarget, Target


@dataclass(frozen=True)
class Batch:
    """Inputs of the model and their targets. Rows of a modality that were not acquired are NaN (integers: 0) and never reach an expert."""

    inputs: Mapping[str, Tensor]
    """By modality: (batch, …)."""
    present: Mapping[str, Bool[Tensor, "batch"]]
    target: Target | SoftTarget
    """Class indices; soft scores where the data set has such."""
    rows: Int[Tensor, "batch"]
    """Row numbers in the records table that the samples come from."""

    def to(self, device: str) -> "Batch":
        """Return the same batch on a device; which modalities are present stays here, where it is looked at without waiting for a GPU."""
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}
        return Batch(inputs, self.present, self.target.to(device, non_blocking=True), self.rows)

    def pin_memory(self) -> "Batch":
        """Return the same batch in memory that a GPU can fetch by itself; a DataLoader asks for it."""
        inputs = {name: tensor.pin_memory() for name, tensor in self.inputs.items()}
        return Batch(inputs, self.present, self.target.pin_memory(), self.rows)
