"""Images of every format come as they are stored, or are refused in one line."""

from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.nifti import read_pair
from i2m2_med.sources.table.images import facts, read_image

VOLUME = np.arange(5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7)
GREY = np.arange(30, dtype=np.uint8).reshape(5, 6)


def read(path: Path, dimensions: int, inside: str = "") -> np.ndarray:
    cell = f"{path}{inside}"
    known, pixels = facts(cell, path, dimensions), read_image(cell, path, dimensions)
    assert pixels.values.shape == (known.channels, *known.shape)
    assert pixels.values.dtype == np.float32
    return pixels.values


def test_volumes_are_read_as_stored(tmp_path: Path):
    affine = np.diag([2.0, 3, 4, 1])
    nibabel.save(nibabel.Nifti1Image(VOLUME, affine), tmp_path / "a.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.stack([VOLUME, VOLUME + 1], axis=3), affine), tmp_path / "two.nii")
    np.save(tmp_path / "b.npy", VOLUME)
    np.save(tmp_path / "c.npy", np.stack([VOLUME, VOLUME + 1]))
    np.savez(tmp_path / "d.npz", VOLUME)
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["t1"], file["t2"] = VOLUME, VOLUME + 1
    for name, inside in (("a.nii.gz", ""), ("b.npy", ""), ("d.npz", ""), ("e.h5", "::t1")):
        np.testing.assert_array_equal(read(tmp_path / name, 3, inside), VOLUME[None], err_msg=name)
    for name in ("two.nii", "c.npy"):
        np.testing.assert_array_equal(read(tmp_path / name, 3), np.stack([VOLUME, VOLUME + 1]), err_msg=name)
    np.testing.assert_array_equal(read_image("", tmp_path / "a.nii.gz", 3).affine, affine)


def test_no_flipped_bit_of_a_packed_volume_changes_a_voxel(tmp_path: Path):
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        for look in (lambda: read_image("", path, 3).values[0], lambda: read_pair(path, None, 3).real):
            try:
                found = look()
            except SourceError:
                continue
            assert np.array_equal(found, VOLUME if found.ndim == 3 else untouched(tmp_path))


def untouched(folder: Path) -> np.ndarray:
    """A slice as it is read of the whole file."""
    nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), folder / "whole.nii.gz")
    return read_pair(folder / "whole.nii.gz", None, 3).real


def test_a_meta_image_lies_where_its_nifti_does(tmp_path: Path):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(VOLUME.transpose(2, 1, 0))
    image.SetSpacing((2.0, 3.0, 4.0))
    image.SetOrigin((10.0, 20.0, 30.0))
    for name in ("a.mha", "a.nii.gz"):
        sitk.WriteImage(image, str(tmp_path / name))
    one, other = (read_image("", tmp_path / name, 3) for name in ("a.mha", "a.nii.gz"))
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-5)


def test_pictures_keep_their_grey_values_and_colours(tmp_path: Path):
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    Image.fromarray(GREY.astype(np.uint16) * 1000).save(tmp_path / "deep.png")
    Image.fromarray(GREY > 10).save(tmp_path / "bit.tif")
    colour = np.stack([GREY, GREY + 50, GREY + 90], axis=2)
    Image.fromarray(colour).save(tmp_path / "rgb.bmp")
    Image.fromarray(colour).quantize(64).save(tmp_path / "palette.png")
    Image.fromarray(colour).convert("CMYK").save(tmp_path / "cmyk.tif")
    np.testing.assert_array_equal(read(tmp_path / "grey.png", 2)[0], GREY)
    np.testing.assert_array_equal(read(tmp_path / "deep.png", 2)[0], GREY * 1000.0)
    np.testing.assert_array_equal(read(tmp_path / "bit.tif", 2)[0], 255.0 * (GREY > 10))
    np.testing.assert_array_equal(read(tmp_path / "rgb.bmp", 2), colour.transpose(2, 0, 1))
    for name in ("palette.png", "cmyk.tif"):
        np.testing.assert_allclose(read(tmp_path / name, 2), colour.transpose(2, 0, 1), atol=3, err_msg=name)


def test_a_picture_lies_as_it_says(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(GREY).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "turned.png", 2)[0], np.rot90(GREY, -1))


TURNS = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
         6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90}  # fmt: skip
"""By EXIF's value, how the stored pixels are to be turned."""


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "int32", "float32", "colour", "alpha", "bit"])
def test_a_tiff_lies_as_it_says(tmp_path: Path, kind: str, compression: str, turn: int):
    pixels = np.random.default_rng(0).integers(1, 200, (5, 6, 3), dtype=np.uint8)
    stored = pixels if kind == "colour" else pixels[..., 0] > 90 if kind == "bit" else pixels[..., 0]
    stored = np.dstack([pixels, np.full((5, 6), 255, np.uint8)]) if kind == "alpha" else stored
    stored = stored.astype(kind) if kind[-1].isdigit() else stored
    Image.fromarray(stored).save(tmp_path / "a.tif", compression=compression, tiffinfo={0x0112: turn})
    right = TURNS[turn](pixels if kind in {"colour", "alpha"} else stored * np.float32(255 if kind == "bit" else 1))
    np.testing.assert_array_equal(read(tmp_path / "a.tif", 2), np.moveaxis(np.atleast_3d(right), 2, 0))


def test_sixteen_bits_of_a_colour_are_not_cut_to_eight(tmp_path: Path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY.astype(np.uint16) * 1000] * 3, axis=2), photometric="rgb")
    for look in (facts, read_image):
        with pytest.raises(SourceError, match="colours of 16 bits"):
            look("", tmp_path / "a.tif", 2)


def write_series(folder: Path, **changed: Any) -> np.ndarray:
    """A CT series of three slices, written in another order than they lie in; changed: tags of the second file."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir()
    series, rng = generate_uid(), np.random.default_rng(0)
    pixels = rng.integers(0, 2000, (3, 4, 5)).astype(np.uint16)
    for number, place in enumerate((2, 0, 1)):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        image.Modality, image.SeriesInstanceUID, image.PatientID = "CT", series, "p1"
        image.Rows, image.Columns, image.SamplesPerPixel, image.PhotometricInterpretation = 4, 5, 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
        image.ImagePositionPatient, image.ImageOrientationPatient = [-10, -20, 3 * place], [1, 0, 0, 0, 1, 0]
        image.PixelSpacing, image.RescaleSlope, image.RescaleIntercept = [2, 1.5], 1, -1024
        image.PixelData = pixels[place].tobytes()
        for tag, value in changed.items() if number == 1 else ():
            setattr(image, tag, value)
        pydicom.dcmwrite(folder / f"{number}.dcm", image, enforce_file_format=True)
    return pixels


def test_a_dicom_series_is_a_volume_in_its_place(tmp_path: Path):
    pixels = write_series(tmp_path / "ct")
    made = read_image("", tmp_path / "ct", 3)
    assert facts("", tmp_path / "ct").shape == (5, 4, 3)
    np.testing.assert_array_equal(made.values[0], pixels.transpose(2, 1, 0).astype(np.float32) - 1024)
    np.testing.assert_allclose(made.affine, [[-1.5, 0, 0, 10], [0, -2, 0, 20], [0, 0, 3, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"SeriesInstanceUID": "1.2.3"}, "holds images of 2 series"),
        ({"PatientID": "p2"}, "holds images of 2 patients"),
        ({"Rows": 2}, "holds images of 2 matrices"),
        ({"ImagePositionPatient": [-10, -20, 6]}, "two images lie in one place"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.8, 0.6]}, "tilted against each other"),
    ],
)
def test_a_dicom_folder_that_is_no_one_series_is_refused(tmp_path: Path, changed: dict[str, Any], why: str):
    write_series(tmp_path / "ct", **changed)
    with pytest.raises(SourceError, match=why):
        read_image("", tmp_path / "ct", 3)


def bad(root: Path) -> dict[str, tuple[Path, int, str]]:
    """By name, an image that can't be used, the dimensions asked for, and why."""
    (root / "text.png").write_text("no picture", encoding="utf-8")
    (root / "empty.nii.gz").write_bytes(b"")
    nibabel.save(nibabel.Nifti1Image(VOLUME * 0, np.eye(4)), root / "zero.nii")
    nibabel.save(nibabel.Nifti1Image(np.where(VOLUME > 3, np.nan, VOLUME), np.eye(4)), root / "nan.nii")
    nibabel.save(nibabel.Nifti1Image(VOLUME.astype(np.complex64), np.eye(4)), root / "complex.nii")
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2, 70), np.int16), np.eye(4)), root / "series.nii")
    header = nibabel.Nifti1Header()
    header.set_data_shape((30_000, 30_000, 30_000))
    (root / "huge.nii").write_bytes(header.binaryblock + b"\0\0\0\0")
    np.save(root / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(root / "flat.npy", np.zeros(5))
    np.savez(root / "two.npz", a=GREY, b=GREY)
    Image.fromarray(np.zeros((5, 6, 4), np.uint8)).save(root / "clear.png")
    Image.fromarray(GREY).save(root / "pages.tif", save_all=True, append_images=[Image.fromarray(GREY)])
    with h5py.File(root / "two.h5", "w") as file:
        file["a"], file["b"] = GREY, GREY
    Image.fromarray(GREY).save(root / "grey.png")
    (root / "words.docx").write_text("x", encoding="utf-8")
    return {
        "text.png": (root / "text.png", 2, "is no picture"),
        "empty.nii.gz": (root / "empty.nii.gz", 3, "is damaged, in a way that nibabel stumbles over"),
        "zero.nii": (root / "zero.nii", 3, "is empty: all its values are the same"),
        "nan.nii": (root / "nan.nii", 3, "no numbers"),
        "complex.nii": (root / "complex.nii", 3, "one number per voxel is needed"),
        "series.nii": (root / "series.nii", 3, "holds 70 images in one"),
        "huge.nii": (root / "huge.nii", 3, "larger than what is read at once"),
        "object.npy": (root / "object.npy", 3, "not a whole .npy array|holds object"),
        "flat.npy": (root / "flat.npy", 3, "an array of 1 axes"),
        "two.npz": (root / "two.npz", 2, "holds 2 arrays"),
        "clear.png": (root / "clear.png", 2, "transparent pixels"),
        "pages.tif": (root / "pages.tif", 2, "holds 2 pictures"),
        "two.h5": (root / "two.h5", 2, "name one of its data sets"),
        "grey.png": (root / "grey.png", 3, "is 2-D, the others are 3-D"),
        "words.docx": (root / "words.docx", 2, "is no image"),
    }


NAMES = "text.png empty.nii.gz zero.nii nan.nii complex.nii series.nii huge.nii object.npy flat.npy two.npz clear.png pages.tif two.h5 grey.png words.docx"


@pytest.mark.parametrize("name", NAMES.split())
def test_what_is_no_image_is_refused_in_one_line(tmp_path: Path, name: str):
    path, dimensions, why = bad(tmp_path)[name]
    with pytest.raises(SourceError, match=why) as refusal:
        read_image(str(path), path, dimensions)
    assert "\n" not in str(refusal.value)
