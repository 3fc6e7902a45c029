"""Where a knee study's images lie, for what is drawn beside its scores."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.samples.knee.reconstruction import reconstruct_volume
from i2m2_med.samples.study_images import StudyImages
from i2m2_med.sources.fastmri.study import study_files
from i2m2_med.sources.formats.nifti import is_nifti


def study_images(folder: Path) -> StudyImages:
    """The reconstructed volume of a study folder. Raises SourceError where it holds no volume, or one that can't be read."""
    files = study_files(folder)
    images = reconstruct_volume(files)
    made = StudyImages(
        image=images.image, voxel_mm=images.voxel_mm, acquired=(images.volume.readout, images.volume.phase)
    )
    if not is_nifti(files.paths[0]):
        return made
    import nibabel

    volume: Any = nibabel.load(files.paths[0])
    affine = np.asarray(volume.affine, dtype=np.float64)
    return replace(made, affine=affine, code=int(volume.header["sform_code"]) or None)


def keeps_pixels(transforms: Sequence[Mapping[str, Any]]) -> bool:
    """Whether images stay images (no k-space) of the scanner's pixels (not the published, narrower ones)."""
    blocks = [block for block in transforms if block["_target_"].endswith(".Reconstructd")]
    return all(block.get("domain", "image") == "image" and block.get("parity", "none") == "none" for block in blocks)
