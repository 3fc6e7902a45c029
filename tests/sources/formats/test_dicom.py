"""Folders of MR DICOM files, written by pydicom, against the NIfTI of the same slices."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import polars as pl
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

from i2m2_med.errors import SourceError
from i2m2_med.sources.fastmri.slices import VolumeFiles, find_volumes, inspect, read_image
from i2m2_med.sources.fastmri.source import Settings, Source
from i2m2_med.sources.fastmri.study import open_study, study_files
from i2m2_med.sources.formats.dicom_frames import is_dicom
from i2m2_med.sources.source import Flow, Progress

ROWS, COLUMNS, SLICES = 6, 5, 4
SPACING, THICK = (0.6, 0.5), 3.0
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
"""Columns to the left, rows to the feet, as radiologists look at it."""
RANDOM = np.random.default_rng(0)
MAGNITUDE = RANDOM.integers(10, 2000, (SLICES, ROWS, COLUMNS))
PHASE = RANDOM.integers(0, 4096, (SLICES, ROWS, COLUMNS))
PHASE.flat[:2] = 0, 4095
IMAGES = MAGNITUDE * np.exp(1j * (PHASE * 2 - 4096) * np.pi / 4096)


def position(index: int) -> list[float]:
    return [-30.0, 10.0 - THICK * index, 50.0]


def blank(kind: str) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    head = Dataset()
    head.file_meta = meta
    head.SOPClassUID, head.SOPInstanceUID, head.Modality, head.PatientID = kind, generate_uid(), "MR", "someone"
    head.Rows, head.Columns, head.SamplesPerPixel, head.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
    head.BitsAllocated = head.BitsStored = 16
    head.HighBit, head.PixelRepresentation, head.MagneticFieldStrength = 15, 0, 3.0
    return head


def single(part: str, index: int, values: np.ndarray) -> Dataset:
    head = blank(MRImageStorage)
    head.ImageType = ["ORIGINAL", "PRIMARY", part, "ND"]
    head.ImagePositionPatient, head.ImageOrientationPatient = position(index), list(CORONAL)
    head.PixelSpacing, head.SliceThickness, head.EchoTime = list(SPACING), THICK, 30.0
    if part == "P":
        head.RescaleSlope, head.RescaleIntercept, head.RescaleType = 2, -4096, "US"
    head.PixelData = values[index].astype("<u2").tobytes()
    return head


def enhanced(part: str, values: np.ndarray) -> Dataset:
    head = blank(EnhancedMRImageStorage)
    head.NumberOfFrames = SLICES
    shared, kind, echo, measures, plane = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
    kind.FrameType, kind.ComplexImageComponent = ["ORIGINAL", "PRIMARY", "T1", "NONE"], part
    echo.EffectiveEchoTime, measures.PixelSpacing, measures.SliceThickness = 30.0, list(SPACING), THICK
    plane.ImageOrientationPatient = list(CORONAL)
    shared.MRImageFrameTypeSequence, shared.MREchoSequence = Sequence([kind]), Sequence([echo])
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
    frames = []
    for index in range(SLICES):
        frame, place, scale = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = position(index)
        slope = (2, -4096) if part == "PHASE" else (1, 0)
        scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = *slope, "US"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = Sequence([place]), Sequence([scale])
        frames.append(frame)
    head.SharedFunctionalGroupsSequence, head.PerFrameFunctionalGroupsSequence = Sequence([shared]), Sequence(frames)
    head.PixelData = values.astype("<u2").tobytes()
    return head


def save(path: Path, head: Dataset) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head.save_as(path, enforce_file_format=True)


def write_singles(
    folder: Path, parts: dict[str, np.ndarray], change: Callable[[Dataset, int], Any] | None = None
) -> None:
    for part, values in parts.items():
        for index in RANDOM.permutation(SLICES).tolist():
            head = single(part, index, values)
            if change:
                change(head, index)
            save(folder / f"{part}{RANDOM.integers(10**9)}.dcm", head)


PAIR = {"M": MAGNITUDE, "P": PHASE}


def write_nifti(folder: Path) -> None:
    """As dcm2niix would: the affine of the same place."""
    affine = np.array([[-SPACING[1], 0, 0, 30.0], [0, 0, THICK, -10.0], [0, -SPACING[0], 0, 50.0], [0, 0, 0, 1.0]])
    for part, values in (("magnitude", np.abs(IMAGES)), ("phase", np.angle(IMAGES))):
        nibabel.save(
            nibabel.Nifti1Image(values.transpose(2, 1, 0).astype(np.float32), affine), folder / f"{part}.nii.gz"
        )


def held_to_nifti(files: VolumeFiles, folder: Path, atol: float = 1e-3) -> None:
    (folder / "nifti").mkdir()
    write_nifti(folder / "nifti")
    other = study_files(folder / "nifti")
    found, expected = inspect(files), inspect(other)
    assert found.voxel_mm == pytest.approx(expected.voxel_mm)
    assert found.affine == pytest.approx(expected.affine, abs=1e-4)
    for index in range(SLICES):
        seen, wanted = read_image(files, index), read_image(other, index)
        np.testing.assert_allclose(seen, wanted, atol=atol * 2000)


def test_singles_are_the_nifti(tmp_path: Path) -> None:
    write_singles(tmp_path / "study", PAIR)
    (files,) = find_volumes(tmp_path / "study")
    assert len(files.paths) == 2 * SLICES
    held_to_nifti(files, tmp_path)
    records = open_study(tmp_path / "study").records
    assert records["group_field_strength"][0] == "3.0 T"
    assert records["has_magnitude"].all()
    assert records["has_phase"].all()


def test_a_folder_for_each_series(tmp_path: Path) -> None:
    write_singles(tmp_path / "study" / "series 3", {"M": MAGNITUDE})
    write_singles(tmp_path / "study" / "series 4", {"P": PHASE})
    held_to_nifti(study_files(tmp_path / "study"), tmp_path)


def test_beside_raw_data_they_are_for_the_report(tmp_path: Path) -> None:
    write_singles(tmp_path / "study", {"M": MAGNITUDE})
    np.save(tmp_path / "study" / "kspace.npy", np.ones((2, 8, 8), np.complex64))
    assert open_study(tmp_path / "study").records["_format"].unique().to_list() == ["npy"]


def test_enhanced_multi_frame(tmp_path: Path) -> None:
    save(tmp_path / "study" / "a", enhanced("MAGNITUDE", MAGNITUDE))
    save(tmp_path / "study" / "b", enhanced("PHASE", PHASE))
    held_to_nifti(study_files(tmp_path / "study"), tmp_path)


def test_real_and_imaginary(tmp_path: Path) -> None:
    def around_zero(head: Dataset, _: int) -> None:
        head.RescaleSlope, head.RescaleIntercept = 1, -2048

    parts = {"R": IMAGES.real.round() + 2048, "I": IMAGES.imag.round() + 2048}
    write_singles(tmp_path / "study", parts, around_zero)
    held_to_nifti(study_files(tmp_path / "study"), tmp_path)


def test_a_magnitude_alone(tmp_path: Path) -> None:
    write_singles(tmp_path / "study", {"M": MAGNITUDE})
    record = open_study(tmp_path / "study").records.row(0, named=True)
    assert (record["has_magnitude"], record["has_phase"]) == (True, False)


def sets(**tags: object) -> Callable[[Dataset, int], None]:
    """A change of one slice's tags."""

    def change(head: Dataset, index: int) -> None:
        for name, value in tags.items() if index == 1 else ():
            if value is None:
                delattr(head, name)
            else:
                setattr(head, name, value)

    return change


def of_study(uid: str, body: str = "KNEE") -> Callable[[Dataset, int], None]:
    """A change of every slice to one examination's."""

    def change(head: Dataset, _: int) -> None:
        head.StudyInstanceUID, head.BodyPartExamined, head.PatientID = uid, body, f"patient of {uid}"

    return change


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Examinations as archives lay them down: a folder of files, series in folders, several volumes, two in one folder."""
    root = tmp_path / "archive"
    write_singles(root / "flat", PAIR, of_study("1.1"))
    write_singles(root / "p1" / "by series" / "SER3", {"M": MAGNITUDE + 1}, of_study("1.2"))
    write_singles(root / "p1" / "by series" / "SER4", {"P": PHASE}, of_study("1.2"))
    write_singles(root / "p1" / "two" / "SER3", {"M": MAGNITUDE + 2}, of_study("1.3"))
    write_singles(root / "p1" / "two" / "SER4", {"M": MAGNITUDE + 3}, of_study("1.3"))
    write_singles(root / "mixed", {"M": MAGNITUDE + 4}, of_study("1.4"))
    write_singles(root / "mixed", {"M": MAGNITUDE + 5}, of_study("1.5"))
    return root


def test_examinations_of_an_archive_are_volumes(archive: Path) -> None:
    volumes = {volume.name: volume for volume in find_volumes(archive)}
    assert {name: len(volume.members) for name, volume in volumes.items()} == {
        "flat": 2 * SLICES,
        "by series": 2 * SLICES,
        "two/SER3": SLICES,
        "two/SER4": SLICES,
        "mixed": 2 * SLICES,
    }
    with pytest.raises(SourceError, match=r"mixed holds images of 2 (patients|examinations)"):
        inspect(volumes.pop("mixed"))
    for volume in volumes.values():
        assert (inspect(volume).n_slices, inspect(volume).body_part) == (SLICES, "KNEE")


def test_tags_of_another_kind_are_no_part(tmp_path: Path) -> None:
    head = single("M", 0, MAGNITUDE)
    del head.ImageType
    head.add_new(0x00080008, "US", 5)
    save(tmp_path / "a.dcm", head)
    (volume,) = find_volumes(tmp_path)
    with pytest.raises(SourceError, match=r"a\.dcm"):
        inspect(volume)


def test_an_archive_is_trained_from(archive: Path, tmp_path: Path) -> None:
    rows = [("flat", 1, "No", "Meniscus Tear"), ("by series", 2, "No", "cartilage"), ("two/SER4", 0, "Yes", "ACL")]
    (archive / "knee.csv").write_text(
        "file,slice,study_level,label\n" + "".join(",".join(map(str, row)) + "\n" for row in rows), encoding="utf-8"
    )
    (archive / "knee_file_list.csv").write_text("flat\nby series\ntwo/SER3\ntwo/SER4\nmixed\n", encoding="utf-8")
    settings = {"root": archive, "study_labels": ("acl",)}
    flow = Flow()
    with pytest.raises(SourceError, match="mixed holds images of 2 patients"):
        Source(Settings(**settings)).ingest(tmp_path / "out", tmp_path / "cache", flow, Progress())
    flow = Flow(skip_bad=True)
    records = Source(Settings(**settings)).ingest(tmp_path / "out", tmp_path / "cache", flow, Progress())
    assert len(records) == 4 * SLICES
    assert records["patient"].n_unique() == 3
    found = {
        name: set(records.filter(pl.col(f"label_{name}") == 1).select("study", "item").iter_rows())
        for name in ("meniscus_tear", "cartilage", "acl")
    }
    assert found["meniscus_tear"] == {("flat", 1)}
    assert found["cartilage"] == {("by series", 2)}
    assert found["acl"] == {("two/SER4", index) for index in range(SLICES)}
    assert records.filter(pl.col("study") == "by series")["has_phase"].all()
    assert records["_anatomy"].unique().to_list() == ["knee"]
    assert set(records["_phase_unit"]) == {"±4096", None}


def image_type(*words: str) -> Callable[[Dataset, int], None]:
    """A change of every slice's ImageType."""
    return lambda head, _: setattr(head, "ImageType", list(words))


REFUSED = {
    "mosaic": (image_type("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"), "is many slices in one image"),
    "projection": (image_type("DERIVED", "SECONDARY", "PROJECTION IMAGE", "M"), "is a projection"),
    "velocity": (image_type("DERIVED", "PRIMARY", "PHASE CONTRAST", "P", "VELOCITY"), "is a map of velocities"),
    "text burned in": (sets(BurnedInAnnotation="YES"), "text burned in"),
    "slope 0": (sets(RescaleSlope=0, RescaleIntercept=5), "RescaleSlope 0"),
    "negative magnitude": (sets(RescaleSlope=1, RescaleIntercept=-1500), "a magnitude is not negative"),
    "computed tomography": (sets(Modality="CT"), "no MR image"),
    "no place": (sets(ImagePositionPatient=None), "lacks its size, place"),
    "another echo": (sets(EchoTime=60.0), "2 echo times"),
    "another pixel": (sets(PixelSpacing=[1.0, 1.0]), "2 pixel spacings"),
    "tilted": (sets(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "tilted"),
    "the same place twice": (sets(ImagePositionPatient=position(2)), "two magnitude images of one place"),
    "uneven": (sets(ImagePositionPatient=[-30.0, 9.0, 50.0]), "evenly"),
    "what it shows": (sets(ImageType=["ORIGINAL", "PRIMARY", "OTHER"]), "does not say whether"),
    "two examinations": (sets(StudyInstanceUID="1.2.3"), "2 examinations; give each a folder of its own"),
    "two parts of the body": (
        lambda head, index: setattr(head, "BodyPartExamined", ("KNEE", "HEAD")[index % 2]),
        "2 parts",
    ),
    "two patients": (sets(PatientID="another"), "2 patients"),
    "colours": (sets(PhotometricInterpretation="RGB"), "not a number per pixel"),
    "pixels cut off": (sets(PixelData=b"\0\0"), "can't be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(tmp_path: Path, name: str) -> None:
    change, why = REFUSED[name]
    write_singles(tmp_path / "study", {"M": MAGNITUDE}, change)
    with pytest.raises(SourceError, match=why) as raised:
        open_study(tmp_path / "study")
    assert "\n" not in str(raised.value)
    assert "someone" not in str(raised.value)


@pytest.mark.parametrize("declared", [SLICES - 1, SLICES + 1])
def test_frames_that_are_not_described_are_refused(tmp_path: Path, declared: int) -> None:
    head = enhanced("MAGNITUDE", MAGNITUDE)
    head.NumberOfFrames = declared
    save(tmp_path / "a.dcm", head)
    with pytest.raises(SourceError, match=f"declares {declared} frames and describes {SLICES}"):
        open_study(tmp_path)


def test_magnitude_and_phase_in_one_file(tmp_path: Path) -> None:
    """Enhanced multi-frame of mixed parts: each frame says which it shows."""
    heads = [enhanced(part, values) for part, values in (("MAGNITUDE", MAGNITUDE), ("PHASE", PHASE))]
    frames = []
    for head in heads:
        for frame in head.PerFrameFunctionalGroupsSequence:
            frame.MRImageFrameTypeSequence = head.SharedFunctionalGroupsSequence[0].MRImageFrameTypeSequence
            frames.append(frame)
    mixed = heads[0]
    del mixed.SharedFunctionalGroupsSequence[0].MRImageFrameTypeSequence
    mixed.PerFrameFunctionalGroupsSequence, mixed.NumberOfFrames = Sequence(frames), 2 * SLICES
    mixed.PixelData = np.concatenate([MAGNITUDE, PHASE]).astype("<u2").tobytes()
    save(tmp_path / "study" / "a.dcm", mixed)
    held_to_nifti(study_files(tmp_path / "study"), tmp_path)


@pytest.mark.parametrize("syntax", [RLELossless, ImplicitVRLittleEndian])
def test_transfer_syntaxes(tmp_path: Path, syntax: str) -> None:
    def stored(head: Dataset, _: int) -> None:
        if syntax == RLELossless:
            head.compress(syntax)
        head.file_meta.TransferSyntaxUID = syntax

    write_singles(tmp_path / "study", PAIR, stored)
    held_to_nifti(study_files(tmp_path / "study"), tmp_path)


def test_lossy_pixels_are_said(tmp_path: Path) -> None:
    write_singles(tmp_path, {"M": MAGNITUDE}, lambda head, _: setattr(head, "LossyImageCompression", "01"))
    assert open_study(tmp_path).records["_reading"].unique().to_list() == ["lossily compressed pixels"]


def test_other_files_are_no_dicom(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("x" * 200, encoding="utf-8")
    (tmp_path / "short").write_bytes(b"DICM")
    assert not any(map(is_dicom, tmp_path.iterdir()))
    save(tmp_path / "image", single("M", 0, MAGNITUDE))
    assert is_dicom(tmp_path / "image")
    assert pydicom.dcmread(tmp_path / "image").Modality == "MR"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("multi", [False, True])
def test_changed_bytes_are_refused_or_harmless(tmp_path: Path, multi: bool) -> None:
    """Whatever pydicom stumbles over is said of the file."""
    random = np.random.default_rng(7)
    head = enhanced("MAGNITUDE", MAGNITUDE) if multi else single("M", 0, MAGNITUDE)
    save(tmp_path / "whole" / "a.dcm", head)
    content = np.frombuffer((tmp_path / "whole" / "a.dcm").read_bytes(), np.uint8)
    (tmp_path / "study").mkdir()
    for _ in range(60):
        changed = content.copy()
        changed[random.integers(132, len(content), 8)] = random.integers(0, 256, 8)
        (tmp_path / "study" / "a.dcm").write_bytes(changed.tobytes())
        with suppress(SourceError):
            open_study(tmp_path / "study")


@pytest.mark.filterwarnings("ignore:.*nvImageCodec:UserWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_it_is_where_monai_puts_it(tmp_path: Path) -> None:
    from monai.data.image_reader import PydicomReader
    from monai.transforms.io.array import LoadImage

    write_singles(tmp_path / "study", {"M": MAGNITUDE}, lambda head, index: setattr(head, "InstanceNumber", index + 1))
    theirs = LoadImage(reader=PydicomReader(), image_only=True)(tmp_path / "study")
    (files,) = find_volumes(tmp_path / "study")
    ours = np.stack([read_image(files, index).real.T for index in range(SLICES)], axis=-1)  # (column, row, slice)
    images = [
        nibabel.as_closest_canonical(nibabel.Nifti1Image(np.asarray(values, np.float32), affine))
        for values, affine in ((theirs, np.asarray(theirs.affine)), (ours, np.reshape(inspect(files).affine, (4, 4))))
    ]
    np.testing.assert_allclose(images[0].affine, images[1].affine, atol=1e-4)
    np.testing.assert_array_equal(*(image.get_fdata() for image in images))
