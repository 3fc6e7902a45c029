"""Undersampling as if fewer lines had been measured, with fastMRI's own masks: for training, and as a shift at test time."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from monai.transforms.transform import MapTransform
from torch import Tensor

from i2m2_med.errors import ConfigError
from i2m2_med.samples.complex_checks import complex_or_refuse, lacks_kspace

CENTRE = {2: 0.16, 4: 0.08, 8: 0.04}
"""Share of lines that stay fully sampled about DC, by acceleration: fastMRI's for 4× and 8×, and their rule for 2×."""
MaskKind = Literal["random", "equispaced", "magic"]


class Undersampled(MapTransform):
    """Set phase-encoding columns of `kspace` (coil, readout, phase) to zero; goes between `LoadSliced` and `Reconstructd`.

    Every slice of a volume gets the same mask, drawn from `seed` and the name of the volume's file: the same in every
    epoch, on every machine, whoever loads it. Columns that were not measured stay so.
    """

    def __init__(
        self,
        keys: str | Sequence[str] = ("kspace",),
        kind: MaskKind = "random",
        accelerations: Sequence[int] = (4,),
        seed: int = 0,
    ) -> None:
        """kind: fastMRI's masks; magic is equispaced with an offset for conjugate symmetry. accelerations: one of them per volume."""
        from fastmri.data.subsample import create_mask_for_mask_type

        super().__init__(keys)
        unknown = [factor for factor in accelerations if factor not in CENTRE]
        if unknown or not accelerations:
            raise ConfigError(
                f"Undersampled takes accelerations of {', '.join(map(str, CENTRE))}, not {unknown or 'none'}."
            )
        names = {"random": "random", "equispaced": "equispaced_fraction", "magic": "magic_fraction"}
        if kind not in names:
            raise ConfigError(f"Undersampled takes the kinds {', '.join(names)}, not '{kind}'.")
        self.mask = create_mask_for_mask_type(names[kind], [CENTRE[factor] for factor in accelerations], accelerations)
        self.seed = seed

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        record = dict(data)
        if lacks_kspace(record):
            return record
        for key in map(str, self.keys):
            kspace = complex_or_refuse(record, key, "Undersampled")
            record[key] = kspace * self.columns(kspace.shape[-1], str(record["_data"])).to(kspace.device)
        return record

    def columns(self, n_columns: int, path: str) -> Tensor:
        """Return the sampling mask (phase,): 1 for a column of k-space that is kept, else 0; the same for a file of the same name."""
        name = path.rsplit("/", 1)[-1]
        seed = int.from_bytes(hashlib.sha256(f"{self.seed}|{name}".encode()).digest()[:4], "big")
        mask, _ = self.mask((1, n_columns, 1), seed=(seed,))
        return mask.reshape(n_columns).to(torch.float32)
