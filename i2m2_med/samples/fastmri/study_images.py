"""Where a study's images lie, for what is drawn beside its scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from i2m2_med.samples.fastmri.reconstruction import reconstruct_volume
from i2m2_med.samples.study_images import StudyImages
from i2m2_med.sources.fastmri.study import study_files
from i2m2_med.sources.formats.ismrmrd_header import MAX_MATRIX
from i2m2_med.sources.formats.volume import Volume


def study_images(folder: Path) -> StudyImages:
    """The reconstructed volume of a study folder. Raises SourceError where it holds no volume, or one that can't be read."""
    images = reconstruct_volume(study_files(folder))
    volume = images.volume
    there_are = {"magnitude": volume.has_magnitude, "phase": volume.has_phase}
    return StudyImages(
        image=images.image,
        voxel_mm=images.voxel_mm,
        acquired=acquired(volume),
        affine=images.affine,
        parts=tuple(part for part, there in there_are.items() if there),
        code=None if images.affine is None else volume.space,
        simulated=volume.simulated,
    )


def acquired(volume: Volume) -> tuple[int, int]:
    """Rows and columns from whose middle image and samples are cropped: `(n - size) // 2` is where either begins.

    Sampled images have their centre at index n // 2, as crops of an odd number of pixels have; a flip moves the odd pixel of
    an uneven crop to the other side, as one pixel more does.
    """
    transpose, *flipped = volume.turn
    sizes = [
        2 * MAX_MATRIX + 1 if step != 1 else size
        for size, step in zip((volume.readout, volume.phase), volume.step, strict=True)
    ]
    rows, columns = (size + flip for size, flip in zip(sizes[:: -1 if transpose else 1], flipped, strict=True))
    return rows, columns


def keeps_pixels(transforms: Sequence[Mapping[str, Any]]) -> bool:
    """Whether images stay images (no k-space) of the scanner's pixels (not the published, narrower ones)."""
    blocks = [block for block in transforms if block["_target_"].endswith(".Reconstructd")]
    return all(block.get("domain", "image") == "image" and block.get("parity", "none") == "none" for block in blocks)
