"""Openers of image files: from a path to an array, the order of its axes, and its place in space. Sizes are checked before values are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.gzipped import check_gzip, is_packed, unpacked
from i2m2_med.sources.formats.npy import open_npy
from i2m2_med.sources.formats.picture import opened as opened_picture
from i2m2_med.sources.table.dicom_stack import dicom_stack
from i2m2_med.sources.table.paths import DATASET

PICTURE_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
"""As Pillow calls them."""
COLOURS = {"1": "L", "LA": "L"} | dict.fromkeys(("P", "PA", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"), "RGB")
"""By kind of picture (as Pillow calls it), the one that it is read as, where that is another."""
GREY = ("L", "I", "I;16", "I;16B", "I;16L", "I;16N")
"""Kinds whose 16 bits are read as they are."""
ORIENTATION, QUARTER_TURNS = 0x0112, (5, 6, 7, 8)
"""EXIF's tag, and its values for a picture that lies on its side."""
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
NIFTI = (".nii", ".nii.gz", ".img", ".hdr", ".mgz", ".mgh")
META = (".mha", ".mhd", ".nrrd")
HDF5 = (".h5", ".hdf5")
IMAGES = (*PICTURES, *NIFTI, *META, *HDF5, ".npy", ".npz", ".dcm", ".ima")
"""Endings of files that can be an image."""
MOST_VOXELS = 1 << 29
"""Numbers of one image: 2 GiB as float32."""
MOST_CHANNELS = 64
Layout = Literal["picture", "space", "array"]


def opened(cell: str, path: Path, *, pixels: bool) -> tuple[Any, Layout, np.ndarray | None]:
    """An array (or, without `pixels`, what has its shape), the order of its axes, and its affine (RAS, mm) where it has a place."""
    name = path.name.lower()
    if path.is_dir() or name.endswith((".dcm", ".ima")):
        values, affine = dicom_stack(path, pixels=pixels)
        return (values, "picture", None) if affine is None else (values, "space", affine)
    if name.endswith(PICTURES):
        return picture(path, pixels=pixels), "picture", None
    if name.endswith(NIFTI):
        values, affine = nifti(path, pixels=pixels)
        return values, "space", affine
    if name.endswith((".npy", ".npz")):
        return array_file(path), "array", None
    if name.endswith(HDF5):
        return dataset(cell, path, pixels=pixels), "array", None
    if name.endswith(META):
        values, affine = meta_image(path, pixels=pixels)
        return values, "space", affine
    raise SourceError(
        f"{path.name} is no image: NIfTI, DICOM, PNG, JPEG, TIFF, BMP, npy, npz, MHA or file.h5{DATASET}name"
    )


def check_size(shape: Sequence[int], name: str) -> None:
    """Raise SourceError for an array without values, or with more than are read at once."""
    count = float(np.prod(shape, dtype=np.float64)) if len(shape) else 0
    if not 0 < count <= MOST_VOXELS:
        raise SourceError(
            f"{name} is of shape {tuple(shape)}: {'no value' if not count else 'larger than what is read at once'}"
        )


def nifti(path: Path, *, pixels: bool) -> tuple[Any, np.ndarray]:
    """NIfTI, Analyze or MGH through nibabel, scaled as its header says."""
    import nibabel
    from nibabel.filebasedimages import SerializableImage

    image: Any = nibabel.load(path)
    check_size(image.shape, path.name)
    if np.dtype(image.get_data_dtype()).kind not in "iufb":
        raise SourceError(f"{path.name} holds {image.get_data_dtype()}; one number per voxel is needed")
    affine = np.asarray(image.affine, float)
    if not pixels:
        return image.dataobj, affine
    if is_packed(path) and isinstance(image, SerializableImage):  # one file, unpacked once
        with unpacked(path) as stream:
            image = image.from_stream(stream)
            return image.get_fdata(dtype=np.float32, caching="unchanged"), affine
    check_gzip(path)
    return image.get_fdata(dtype=np.float32, caching="unchanged"), affine


def array_file(path: Path) -> np.ndarray:
    """The array of an .npy file, or the only one of an .npz archive."""
    if path.suffix.lower() == ".npy":
        return open_npy(path, "uif", path.name)
    with np.load(path, allow_pickle=False) as archive:
        if len(archive.files) != 1:
            raise SourceError(f"{path.name} holds {len(archive.files)} arrays; one is needed")
        array = archive[archive.files[0]]
    if array.dtype.kind not in "uif":
        raise SourceError(f"{path.name} holds {array.dtype!s:.40}; numbers are needed")
    return array


def dataset(cell: str, path: Path, *, pixels: bool) -> Any:
    """The data set that a cell names inside an HDF5 file."""
    import h5py

    inside = cell.partition(DATASET)[2]
    with h5py.File(path, "r") as file:
        named = [key for key in file if isinstance(file[key], h5py.Dataset)]
        if not inside and len(named) == 1:
            inside = named[0]
        link = file.get(inside, getlink=True) if inside else None
        if link is None or isinstance(link, h5py.ExternalLink) or not isinstance(file[inside], h5py.Dataset):
            raise SourceError(
                f"{path.name}: name one of its data sets, {path.name}{DATASET}{named[0] if named else 'name'}"
            )
        held: Any = file[inside]
        if held.dtype.kind not in "uif":
            raise SourceError(f"{path.name}{DATASET}{inside} holds {held.dtype!s:.40}; numbers are needed")
        check_size(held.shape, path.name)
        return held[()] if pixels else np.broadcast_to(np.float32(0), held.shape)


def picture(path: Path, *, pixels: bool) -> Any:
    """A picture (row, column[, colour]), turned as it says; palettes, CMYK and YCbCr as RGB, one bit as grey."""
    from PIL import Image, ImageOps

    with opened_picture(path, PICTURE_FORMATS, path.name) as stored:
        if stored.mode not in GREY and any(";16" in str(part.args) for part in stored.tile):
            raise SourceError(f"{path.name} holds colours of 16 bits, of which 8 would be read; convert it")
        seen = see_through(stored, path.name)
        colours = COLOURS.get(stored.mode, stored.mode)
        if not pixels:
            # Pillow tells a TIFF's size already turned
            turned = stored.format != "TIFF" and stored.getexif().get(ORIENTATION, 1) in QUARTER_TURNS
            side = (stored.width, stored.height) if turned else (stored.height, stored.width)
            return np.broadcast_to(np.float32(0), (*side, 3) if colours == "RGB" else side)
        lies = stored.getexif().get(ORIENTATION, 1) != 1
        upright: Image.Image = ImageOps.exif_transpose(seen) if lies else seen  # which copies what stands upright, too
        return np.asarray(upright if upright.mode == colours else upright.convert(colours))


def see_through(stored: Any, name: str) -> Any:
    """The picture, as it is or with its transparency. Raises SourceError where a pixel is transparent."""
    if stored.mode not in {"LA", "RGBA", "PA"} and "transparency" not in stored.info:
        return stored
    seen = stored.convert("RGBA")
    if seen.getextrema()[3][0] < 255:
        raise SourceError(f"{name} has transparent pixels; what lies behind them is not known")
    return seen


def meta_image(path: Path, *, pixels: bool) -> tuple[Any, np.ndarray]:
    """MetaImage or NRRD through SimpleITK, its place turned from LPS to RAS."""
    try:
        import SimpleITK as sitk
    except ImportError as error:
        raise SourceError(
            f"{path.name}: {path.suffix} needs SimpleITK (pip install SimpleITK), or convert it to NIfTI"
        ) from error
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size, channels = reader.GetSize(), reader.GetNumberOfComponents()
    check_size((*size, channels), path.name)
    if len(size) not in {2, 3}:
        raise SourceError(f"{path.name} has {len(size)} axes of space; 2 or 3 are read")
    shape = (*size, *([1] * (3 - len(size))), *([channels] if channels > 1 else []))
    if not pixels:
        return np.broadcast_to(np.float32(0), shape), np.eye(4)
    image = reader.Execute()
    values = sitk.GetArrayFromImage(image)  # (z, y, x[, channel])
    values = np.moveaxis(values, range(len(size)), range(len(size))[::-1]).reshape(shape)
    affine = np.eye(4)
    turn = np.asarray(image.GetDirection()).reshape(len(size), len(size)) * np.asarray(image.GetSpacing())
    affine[: len(size), : len(size)], affine[: len(size), 3] = turn, image.GetOrigin()
    return values, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
