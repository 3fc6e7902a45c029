"""A whole volume, of any format that the fastMRI source reads, as complex images in the scanner's field of view."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float

from i2m2_med.samples.coils import reconstruct
from i2m2_med.samples.physics import fit_centre, turned
from i2m2_med.sources.fastmri.slices import VolumeFiles, inspect, read_image, read_kspace
from i2m2_med.sources.formats.ismrmrd_counters import ONLY_IMAGE, Choice
from i2m2_med.sources.formats.volume import Volume


@dataclass(frozen=True)
class Images:
    """A reconstructed volume: |image| is the root sum of squares over coils, its phase as of `coils.py`."""

    image: Complex[np.ndarray, "slice height width"]
    volume: Volume

    @property
    def affine(self) -> Float[np.ndarray, "4 4"] | None:
        """(column, row, slice) → mm; None where the format has no orientation."""
        return None if self.volume.affine is None else np.reshape(self.volume.affine, (4, 4))

    @property
    def voxel_mm(self) -> tuple[float, float, float]:
        """Row, column and slice spacing; 1 mm where the file does not say."""
        return self.volume.voxel_mm or (1.0, 1.0, 1.0)


def reconstruct_volume(files: VolumeFiles, choice: Choice = ONLY_IMAGE) -> Images:
    """Check a volume and reconstruct every slice. Raises SourceError with what is wrong with it."""
    volume = inspect(files, choice)
    height, width = volume.shown
    slices: list[np.ndarray] = []
    for index in range(volume.n_slices):
        if volume.reconstructed:
            image = torch.from_numpy(read_image(files, index))
            slices.append(fit_centre(fit_centre(image, height, -2), width, -1).numpy())
        else:
            kspace = torch.from_numpy(read_kspace(files.paths[0], volume.format, index, choice))
            slices.append(turned(reconstruct(kspace, height, width, step=volume.step), volume.turn).numpy())
    return Images(np.stack(slices), volume)
