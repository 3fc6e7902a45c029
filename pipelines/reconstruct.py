"""`i2m2 reconstruct IN OUT`: k-space → magnitude and phase as NIfTI, and a picture to look at."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.console import table
from i2m2_med.errors import SourceError

if TYPE_CHECKING:
    from i2m2_med.samples.knee.reconstruction import Images

SHOWN = 6
"""Slices in the picture, spread over the volume."""


def main(source: Path, out: Path) -> dict[str, Any]:
    """Reconstruct one volume: root-sum-of-squares magnitude, and a phase that survives the combination of coils.

    Args:
        source: fastMRI HDF5, ISMRMRD raw data, a NIfTI magnitude or phase image, k-space as .npy (coil, readout, phase;
            complex64, DC in the centre), or a study folder that holds one of them.
        out: folder to make: magnitude.nii.gz, phase.nii.gz (radians) and picture.png.
    """
    from i2m2_med.files import replace_folder
    from i2m2_med.samples.knee.reconstruction import reconstruct_volume
    from i2m2_med.samples.pictures import draw_grid
    from i2m2_med.scoring.images import write_image

    images = reconstruct_volume(volume_at(source))
    parts = {"magnitude": abs(images.image), "phase": angle(images)}
    with replace_folder(out) as folder:
        for name, values in parts.items():
            write_image(folder / f"{name}.nii.gz", values, images.voxel_mm)
        draw_grid(panels(parts), folder / "picture.png", source.name)
    volume = images.volume
    shape = list(images.image.shape)
    table(
        "Reconstructed",
        ["format", "coils", "slices × rows × columns", "folder"],
        [[volume.format, volume.n_coils, shape, out]],
    )
    written = {name: str(out / f"{name}.nii.gz") for name in parts}
    return {**written, "picture": str(out / "picture.png"), "shape": shape, "coils": volume.n_coils}


def volume_at(source: Path) -> Any:
    """The files of the volume that a path names: a file, one image of a pair, or a study folder."""
    from i2m2_med.sources.fastmri.slices import VolumeFiles, group_volumes
    from i2m2_med.sources.fastmri.study import study_files
    from i2m2_med.sources.formats.nifti import is_nifti

    if source.is_dir():
        return study_files(source)
    if not source.exists():
        raise SourceError(f"{source} is not there; name a k-space or image file, or a study folder")
    if not is_nifti(source):
        return VolumeFiles(source)
    pairs = [found for found in group_volumes(source.parent.iterdir()) if source in found.paths]
    return pairs[0] if pairs else VolumeFiles(source)


def angle(images: "Images") -> Any:
    """The phase in radians, (slice, row, column)."""
    import numpy as np

    return np.angle(images.image)


def panels(parts: dict[str, Any]) -> list[Any]:
    """A few slices from first to last."""
    from i2m2_med.samples.pictures import Panel

    n_slices = len(parts["magnitude"])
    shown = sorted({round(step * (n_slices - 1) / max(SHOWN - 1, 1)) for step in range(SHOWN)})
    return [Panel(f"slice {index}", parts["magnitude"][index], parts["phase"][index]) for index in shown]
