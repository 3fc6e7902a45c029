"""A study's images as they lie in space, for what is drawn beside its scores: magnitude, picture, saliency.

A data set of images names a module (`Source.imaged_by`) with two functions: `study_images(folder) -> StudyImages`, which raises
SourceError where the folder holds none, and `keeps_pixels(transforms) -> bool`, whether `modalities.transforms` leave every
pixel where it is but for cropping and padding about the centre (else no map of the model's input can be laid over the image).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float


@dataclass(frozen=True, kw_only=True)
class StudyImages:
    """All slices of a study, and where they lie."""

    image: Complex[np.ndarray, "slice row column"]
    """Magnitude and phase; of images without a phase, their values."""
    voxel_mm: tuple[float, float, float]
    """Spacing of rows, columns and slices."""
    acquired: tuple[int, int]
    """Rows and columns from whose middle both `image` and the model's samples are cropped, or padded to."""
    affine: Float[np.ndarray, "4 4"] | None = None
    """(column, row, slice) → mm as the study's file has it; None where it does not say where the patient lies."""
    code: int | None = None
    """NIfTI's code of what `affine` is aligned to; None where the file does not say."""
    parts: tuple[str, ...] = ("magnitude", "phase")
    """Which of the two were acquired."""
    simulated: bool = False
    """The study's file says that a simulator made it."""
