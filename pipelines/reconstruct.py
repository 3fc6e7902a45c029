"""`i2m2 reconstruct IN OUT`: k-space → magnitude and phase as NIfTI, and a picture to look at."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.console import say, table
from i2m2_med.errors import SourceError
from i2m2_med.files import replace_folder

if TYPE_CHECKING:
    from i2m2_med.samples.fastmri.reconstruction import Images

SHOWN = 6
"""Slices in the picture, spread over the volume."""


def main(
    source: Path,
    out: Path,
    *,
    contrast: int | None = None,
    set: int | None = None,
    phase: int | None = None,
    repetition: int | None = None,
    encoding: int = 0,
) -> dict[str, Any]:
    """Reconstruct one volume: root-sum-of-squares magnitude, and a phase that survives the combination of coils.

    Args:
        source: fastMRI HDF5, ISMRMRD raw data, BART's .cfl or .npy k-space (coil, readout, phase; complex64, DC in the
            centre), a magnitude or phase image that nibabel reads, a folder of MR DICOM files, or a study folder.
        out: folder to make: magnitude.nii.gz, phase.nii.gz (radians) and picture.png.
        contrast: of ISMRMRD raw data that hold several images, which contrast.
        set: which set.
        phase: which cardiac or other phase.
        repetition: which repetition.
        encoding: which of the header's encodings.
    """
    from i2m2_med.samples.fastmri.reconstruction import reconstruct_volume
    from i2m2_med.samples.pictures import draw_grid
    from i2m2_med.scoring.images import write_image
    from i2m2_med.sources.formats.ismrmrd_counters import Choice

    choice = Choice(contrast=contrast, set=set, phase=phase, repetition=repetition, encoding=encoding)
    images = reconstruct_volume(volume_at(source), choice)
    parts = {"magnitude": abs(images.image), "phase": angle(images)}
    there = {"magnitude": images.volume.has_magnitude, "phase": images.volume.has_phase}
    with replace_folder(out) as folder:
        for name, values in parts.items():
            if there[name]:  # an image that was not acquired is not made up
                write_image(
                    folder / f"{name}.nii.gz", values, images.voxel_mm, images.affine, simulated=images.volume.simulated
                )
        if there["phase"]:
            (folder / "phase.json").write_text('{"Units": "rad"}\n', encoding="utf-8")
        draw_grid(
            panels(parts, images, tuple(name for name in parts if there[name])), folder / "picture.png", source.name
        )
    return summary(images, out)


def summary(images: "Images", out: Path) -> dict[str, Any]:
    """Say what was read, where it lies and what was left out; the same as a result."""
    volume, shape = images.volume, list(images.image.shape)
    place = "nominal: the format has none" if images.affine is None else "of the file"
    spacing = "not said" if volume.voxel_mm is None else " × ".join(f"{mm:.3g}" for mm in volume.voxel_mm)
    table(
        "Reconstructed",
        ["format", "coils", "slices × rows × columns", "rows × columns × slices (mm)", "orientation", "folder"],
        [[volume.format, volume.n_coils, shape, spacing, place, out]],
    )
    for remark in volume.remarks:
        say(f"i2m2: {remark}")
    written = {name: str(path) for name in ("magnitude", "phase") if (path := out / f"{name}.nii.gz").is_file()}
    say(f"images in {out}; next: i2m2 look STUDY --model RUN shows what a model sees of them")
    about = {
        "coils": volume.n_coils,
        "orientation": place,
        "voxel_mm": volume.voxel_mm,
        "remarks": list(volume.remarks),
    }
    return {**written, "picture": str(out / "picture.png"), "shape": shape, **about}


def volume_at(source: Path) -> Any:
    """The files of the volume that a path names: a file, one image of a pair, a folder of DICOM files or a study folder."""
    from i2m2_med.sources.fastmri.slices import VolumeFiles, group_volumes
    from i2m2_med.sources.fastmri.study import study_files
    from i2m2_med.sources.formats.nifti import is_nifti

    if source.is_dir():
        return study_files(source)
    if not source.exists():
        raise SourceError(f"{source} is not there; name a k-space or image file, or a study folder")
    if source.suffix.lower() == ".hdr":
        source = next((one for end in (".cfl", ".img") if (one := source.with_suffix(end)).is_file()), source)
    if not is_nifti(source):
        return VolumeFiles(source)
    pairs = [pair for pair in group_volumes(source.parent.iterdir()) if source in pair.paths]
    return pairs[0] if pairs else VolumeFiles(source)


def angle(images: "Images") -> Any:
    """The phase in radians, (slice, row, column)."""
    import numpy as np

    return np.angle(images.image)


def panels(parts: dict[str, Any], images: "Images", acquired: tuple[str, ...]) -> list[Any]:
    """A few slices from the first to the last that holds something."""
    from i2m2_med.samples.pictures import Panel, Place
    from i2m2_med.sources.formats.orientation import letters

    voxel = images.volume.voxel_mm
    place = Place(voxel and (voxel[0], voxel[1]), None if images.affine is None else letters(images.affine)[:2])
    filled = images.volume.filled
    shown = sorted({filled[round(step * (len(filled) - 1) / max(SHOWN - 1, 1))] for step in range(SHOWN)})
    return [
        Panel(f"slice {index}", parts["magnitude"][index], parts["phase"][index], place=place, parts=acquired)
        for index in shown
    ]
