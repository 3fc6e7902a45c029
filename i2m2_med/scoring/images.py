"""Images as NIfTI, for whatever viewer people have."""

from pathlib import Path

import numpy as np

SUFFIX = ".nii.gz"


def write_image(path: Path, values: np.ndarray, voxel_mm: tuple[float, float, float]) -> None:
    """values: (slice, row, column) float32, voxel_mm in the same order of row, column, slice → NIfTI (column, row, slice).

    The file's axes are the image's own, centred, with rows drawn downwards; where the patient lies is not known, which
    the code of the affine says (2, aligned to something).
    """
    import nibabel

    rows, columns, slices = voxel_mm
    spacing = np.array([-columns, -rows, slices])
    size = np.array(values.shape[::-1])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -spacing * (size - 1) / 2
    image = nibabel.Nifti1Image(np.ascontiguousarray(values.transpose(2, 1, 0), np.float32), affine)
    image.set_sform(affine, code=2)
    image.set_qform(affine, code=2)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
