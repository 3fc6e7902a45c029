"""One DICOM file → its images: what each shows, where it lies, and its pixels. Single images and enhanced multi-frame."""

import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.errors import SourceError, extra_hint
from i2m2_med.sources.formats.damaged import blamed_on
from i2m2_med.sources.formats.hdf5 import MAX_BYTES

SUFFIXES = (".dcm", ".ima", "")
GE_PARTS = ("magnitude", "phase", "real", "imaginary")
"""Values 0 to 3 of GE's (0043,102F)."""
PARTS = {word: part for part in GE_PARTS for word in (part[0].upper(), part.upper())}
"""Values of ImageType, FrameType and ComplexImageComponent."""
NOT_READ = {
    "MOSAIC": "many slices in one image",
    "PROJECTION IMAGE": "a projection",
    "MIP": "a projection",
    "MINIP": "a projection",
    "VELOCITY": "a map of velocities",
}
"""Values of ImageType of images that are no slice of magnitude or phase, and what they are."""
MOST_FRAMES = 4096


@dataclass(frozen=True)
class Frame:
    """One image of a series."""

    path: Path
    number: int
    """Frame of its file."""
    part: str
    shape: tuple[int, int]
    position: tuple[float, ...]
    """Centre of the first pixel, mm towards left, posterior, superior."""
    directions: tuple[float, ...]
    """Where columns and rows count to, three numbers each."""
    spacing: tuple[float, float]
    """mm from row to row and from column to column."""
    thickness: float
    echo: float | None
    rescale: tuple[float, float]
    unit: str | None


def is_dicom(path: Path) -> bool:
    """By the four letters behind its preamble."""
    if path.suffix.lower() not in SUFFIXES or path.name.upper() == "DICOMDIR":
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_head(path: Path) -> tuple[Path, Any]:
    """A file's tags without its pixels."""
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
    except ImportError as error:
        raise SourceError(f"DICOM files need pydicom: {extra_hint('dicom')}") from error
    try:
        head = pydicom.dcmread(path, stop_before_pixels=True)
    except (OSError, ValueError, EOFError, AttributeError, KeyError, InvalidDicomError) as error:
        raise SourceError(f"{path.name} is damaged or no DICOM file. Get it again.") from error
    if head.get("Modality") != "MR" or "Rows" not in head:
        raise SourceError(f"{path.name} is no MR image (Modality {head.get('Modality', 'missing')}).")
    if head.get("SamplesPerPixel", 1) != 1 or head.get("PhotometricInterpretation") != "MONOCHROME2":
        raise SourceError(f"{path.name} holds {head.get('PhotometricInterpretation')}, not a number per pixel.")
    return path, head


def examination_of(path: Path) -> tuple[str | None, str | None]:
    """A file's StudyInstanceUID and the part that it shows, where its tags say them. Raises SourceError as `read_head` does."""
    with warnings.catch_warnings(), blamed_on(path.name):
        warnings.simplefilter("ignore")  # pydicom's would print values of tags
        head = read_head(path)[1]
        uid = str(head.get("StudyInstanceUID") or "").strip() or None
        for tags in (lambda: head.SharedFunctionalGroupsSequence[0].MRImageFrameTypeSequence[0], lambda: head):
            with suppress(AttributeError, IndexError, TypeError):  # single images have no shared groups
                return uid, _part(tags())
    return uid, None


def frames_of(path: Path, head: Any) -> list[Frame]:
    """The images of one file. Raises SourceError where one lacks a place, a pixel's size or what it shows."""
    try:
        count = int(head.get("NumberOfFrames", 1) or 1)
        if not 0 < count <= MOST_FRAMES or 8 * int(head.Rows) * int(head.Columns) * count > MAX_BYTES:
            raise SourceError(f"{path.name} declares {count} frames of its size: not to be read at once.")
        _refuse_other_images(path, head)
        if "PerFrameFunctionalGroupsSequence" in head:
            described = len(head.PerFrameFunctionalGroupsSequence)
            if described != count:
                raise SourceError(f"{path.name} declares {count} frames and describes {described}.")
            return [_enhanced_frame(path, head, number) for number in range(count)]
        if count > 1:
            raise SourceError(f"{path.name} holds {count} frames without a place of their own.")
        return [_frame(path, 0, head, head, head, head, head, _part(head))]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"{path.name} lacks its size, place, orientation or pixel spacing.") from error


def _refuse_other_images(path: Path, head: Any) -> None:
    """Raise SourceError for mosaics, projections, velocities, and images with text burned in."""
    words = [str(word).upper() for word in head.get("ImageType") or ()]
    shown = next((NOT_READ[word] for word in words if word in NOT_READ), None)
    if shown is None and str(head.get("BurnedInAnnotation", "NO")).upper() == "YES":
        shown = "an image with text burned in"
    if shown is not None:
        raise SourceError(f"{path.name} is {shown} (ImageType {', '.join(words) or 'missing'}), which can't be read.")


def _enhanced_frame(path: Path, head: Any, number: int) -> Frame:
    """A frame of an enhanced file: what all frames share stands once."""
    own = head.PerFrameFunctionalGroupsSequence[number]
    shared = head.SharedFunctionalGroupsSequence[0]

    def group(name: str) -> Any:
        sequence = own.get(name) or shared.get(name)
        return sequence[0] if sequence else {}

    measures, kind = group("PixelMeasuresSequence"), group("MRImageFrameTypeSequence")
    values, echo = group("PixelValueTransformationSequence"), group("MREchoSequence")
    place, plane = group("PlanePositionSequence"), group("PlaneOrientationSequence")
    merged = {"EchoTime": echo.get("EffectiveEchoTime"), **_rescale_of(values)}
    return _frame(path, number, head, place, plane, measures, merged, _part(kind or head))


def _rescale_of(values: Any) -> dict[str, Any]:
    return {name: values.get(name) for name in ("RescaleSlope", "RescaleIntercept", "RescaleType")}


def _frame(
    path: Path, number: int, head: Any, place: Any, plane: Any, measures: Any, values: Any, part: str | None
) -> Frame:
    if part is None:
        raise SourceError(f"{path.name} does not say whether it shows magnitude or phase (ImageType).")
    spacing, slope, offset = measures.PixelSpacing, values.get("RescaleSlope"), values.get("RescaleIntercept")
    thickness = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 1.0
    echo, unit = values.get("EchoTime"), values.get("RescaleType")
    frame = Frame(
        path,
        number,
        part,
        (int(head.Rows), int(head.Columns)),
        tuple(float(x) for x in place.ImagePositionPatient),
        tuple(float(x) for x in plane.ImageOrientationPatient),
        (float(spacing[0]), float(spacing[1])),
        float(thickness),
        None if echo is None else float(echo),
        (1.0 if slope is None else float(slope), 0.0 if offset is None else float(offset)),
        None if unit in (None, "", "US") else str(unit),
    )
    numbers = [*frame.position, *frame.directions, *frame.spacing, frame.thickness, *frame.rescale]
    if len(numbers) != 14 or not np.isfinite(numbers).all() or min(frame.spacing) <= 0:
        raise SourceError(f"{path.name} gives its place or pixel spacing as no numbers.")
    if frame.rescale[0] == 0:
        raise SourceError(f"{path.name} has the RescaleSlope 0: every pixel would be the same.")
    return frame


def _part(tags: Any) -> str | None:
    """Return the part that an image shows; None where its tags say nothing or two things."""
    words = [tags.get("ComplexImageComponent") or "", *(tags.get("ImageType") or ()), *(tags.get("FrameType") or ())]
    parts = {PARTS[str(word).upper()] for word in words if str(word).upper() in PARTS}
    private = tags.get((0x0043, 0x102F)) if not parts else None
    if private is not None and str(private.value) in "0123":
        return GE_PARTS[int(str(private.value))]
    return parts.pop() if len(parts) == 1 else None


def pixels(frame: Frame) -> np.ndarray:
    """(row, column) float64 of one image, rescaled."""
    import pydicom
    from pydicom.pixels.utils import pixel_array

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's would print values of tags
            warnings.filterwarnings("error", ".*larger than the given")  # more pixels than frames
            stored = pixel_array(pydicom.dcmread(frame.path), index=frame.number)
    except (OSError, ValueError, AttributeError, KeyError, RuntimeError, NotImplementedError, UserWarning) as error:
        raise SourceError(f"the pixels of {frame.path.name} can't be read ({type(error).__name__}).") from error
    if stored.shape != frame.shape:
        raise SourceError(f"{frame.path.name} holds pixels of the shape {stored.shape}, not {frame.shape}.")
    slope, offset = frame.rescale
    return stored.astype(np.float64) * slope + offset


def field_strength(head: Any) -> float | None:
    """In tesla; None where the tag is missing or no number."""
    try:
        return float(head.get("MagneticFieldStrength"))
    except (TypeError, ValueError):
        return None
