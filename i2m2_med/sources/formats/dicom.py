"""A folder of MR DICOM files → complex slices: series of magnitude, phase, real, imaginary; single images or enhanced multi-frame.

Parts are told by ComplexImageComponent, ImageType or GE's private tag; places by position and orientation of each image.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.dicom_frames import Frame, field_strength, frames_of, is_dicom, pixels, read_head
from i2m2_med.sources.formats.orientation import Storage, affine_of_slices, storage, turned
from i2m2_med.sources.formats.phase_units import Scale, phase_scale
from i2m2_med.sources.formats.volume import Volume, image_energies, refuse_negative


@dataclass(frozen=True)
class DicomSeries:
    """All images of a volume, by part and in the order in which slices are shown."""

    frames: dict[str, tuple[Frame, ...]]
    storage: Storage
    voxel_mm: tuple[float, float, float]
    patient: str | None
    field_strength_t: float | None
    body_part: str | None
    lossy: bool

    @property
    def first(self) -> tuple[Frame, ...]:
        """Slices of one of the parts."""
        return next(iter(self.frames.values()))


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and is_dicom(path))


def inspect_series(folder: Path) -> Volume:
    """Read every image of a folder and check them. Raises SourceError with the first thing that is wrong."""
    series = _series(folder)
    n_slices = len(series.first)
    images = [read_series(folder, index) for index in range(n_slices)]
    rows, columns = images[0].shape
    for frame in series.frames.get("magnitude", ()):
        refuse_negative(pixels(frame), frame.path.name)
    energies, remarks = image_energies(images, folder.name, "the images")
    affine = series.storage.affine
    assert affine is not None
    return Volume(
        format="dicom",
        n_slices=n_slices,
        n_coils=1,
        readout=rows,
        phase=columns,
        recon=(rows, columns),
        patient_id=series.patient,
        field_strength_t=series.field_strength_t,
        body_part=series.body_part,
        phase_unit=_radians(folder, _stamp(folder)).unit if "phase" in series.frames else None,
        voxel_mm=series.voxel_mm,
        affine=tuple(affine.ravel().tolist()),
        has_magnitude=set(series.frames) != {"phase"},
        has_phase=set(series.frames) != {"magnitude"},
        remarks=remarks + (("lossily compressed pixels",) if series.lossy else ()),
        energies=energies,
    )


def read_series(folder: Path, index: int) -> np.ndarray:
    """One slice as a complex image (row, column) complex64; a missing magnitude is 1, a missing phase 0."""
    series = _series(folder)
    if not 0 <= index < len(series.first):
        raise SourceError(
            f"{folder.name} has {len(series.first)} slices, not a slice {index}. Run `i2m2 prepare` again."
        )
    parts = {part: pixels(frames[index]) for part, frames in series.frames.items()}
    if "real" in parts:
        image = parts["real"] + 1j * parts["imaginary"]
    elif "phase" in parts:
        scale = _radians(folder, _stamp(folder))
        image = parts.get("magnitude", 1.0) * np.exp(1j * (parts["phase"] * scale.slope + scale.offset))
    else:
        image = parts["magnitude"]
    return np.ascontiguousarray(turned(image, series.storage.turn), np.complex64)


def _series(folder: Path) -> DicomSeries:
    return _indexed(folder, _stamp(folder))


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of a folder's files: what changed is read anew."""
    status = [(str(path), path.stat()) for path in dicom_files(folder)]
    return tuple((name, one.st_size, one.st_mtime_ns) for name, one in status)


@lru_cache(maxsize=16)
def _indexed(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> DicomSeries:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's would print values of tags
        heads = [read_head(Path(name)) for name, _, _ in stamp]
        frames = [frame for path, head in heads for frame in frames_of(path, head)]
    if not frames:
        raise SourceError(f"{folder.name} holds no DICOM image.")
    patients = {str(head.get("PatientID", "")) for _, head in heads}
    studies = {str(head.get("StudyInstanceUID", "")) for _, head in heads}
    for what, several in (("patients", patients), ("examinations", studies)):
        if len(several) > 1:
            raise SourceError(f"{folder.name} holds images of {len(several)} {what}; give each a folder of its own.")
    _refuse_unlike(frames, folder.name)
    parts = {part: [one for one in frames if one.part == part] for part in dict.fromkeys(one.part for one in frames)}
    kept = _usable(parts, folder.name)
    ordered = {part: _ordered(images, folder.name) for part, images in kept.items()}
    first, *others = ordered.values()
    for other in others:
        if len(other) != len(first) or not np.allclose(_positions(other), _positions(first), atol=1e-2):
            raise SourceError(f"{folder.name}: its {' and '.join(ordered)} images lie in different places.")
    turn = storage(_affine(first, folder.name), (*first[0].shape, len(first)), 2, folder.name)
    shown = {part: images[::-1] if turn.reverse else images for part, images in ordered.items()}
    rows, columns = first[0].spacing[::-1] if turn.transpose else first[0].spacing
    assert turn.affine is not None
    return DicomSeries(
        shown,
        turn,
        (rows, columns, float(np.linalg.norm(turn.affine[:3, 2]))),
        patients.pop() or None,
        field_strength(heads[0][1]),
        _body_part(heads, folder.name),
        any(str(head.get("LossyImageCompression", "")) == "01" for _, head in heads),
    )


def _body_part(heads: Sequence[tuple[Path, Any]], name: str) -> str | None:
    """BodyPartExamined of all images. Raises SourceError where they name several."""
    named = {str(head.get("BodyPartExamined") or "").strip() for _, head in heads} - {""}
    if len(named) > 1:
        raise SourceError(f"{name} holds images of {len(named)} parts of the body (BodyPartExamined).")
    return named.pop() if named else None


def _refuse_unlike(frames: Sequence[Frame], name: str) -> None:
    """Raise SourceError where images of one folder are no one volume."""
    one = frames[0]
    for what, values in (
        ("matrices", {frame.shape for frame in frames}),
        ("echo times", {frame.echo for frame in frames}),
        ("pixel spacings", {tuple(np.round(frame.spacing, 4)) for frame in frames}),
    ):
        if len(values) > 1:
            raise SourceError(f"{name} holds images of {len(values)} {what}; give one volume a folder of its own.")
    if any(np.abs(np.subtract(frame.directions, one.directions)).max() > 1e-3 for frame in frames):
        raise SourceError(f"{name}: its slices are tilted against each other; only parallel ones can be read.")


def _usable(parts: dict[str, list[Frame]], name: str) -> dict[str, list[Frame]]:
    """Magnitude and phase, either alone, or real and imaginary."""
    named = {part: parts[part] for part in ("magnitude", "phase") if part in parts}
    if len(named) == 2 or (named and not {"real", "imaginary"} & set(parts)):
        return named
    if {"real", "imaginary"} <= set(parts):
        return {part: parts[part] for part in ("real", "imaginary")}
    raise SourceError(
        f"{name} holds {' and '.join(sorted(parts))} images; give magnitude and phase, or real and imaginary."
    )


def _ordered(frames: Sequence[Frame], name: str) -> tuple[Frame, ...]:
    """Slices one behind the other. Raises SourceError where two lie in one place."""
    normal = np.cross(frames[0].directions[3:], frames[0].directions[:3])
    places = _positions(frames) @ normal
    order = np.argsort(places, kind="stable")
    if len(frames) > 1 and np.diff(places[order]).min() < 1e-3:
        raise SourceError(
            f"{name} holds two {frames[0].part} images of one place; give one volume a folder of its own."
        )
    return tuple(frames[index] for index in order)


def _positions(frames: Sequence[Frame]) -> np.ndarray:
    return np.array([frame.position for frame in frames])


def _affine(frames: Sequence[Frame], name: str) -> np.ndarray:
    one = frames[0]
    axes = np.array(one.directions[3:]), np.array(one.directions[:3])
    return affine_of_slices(_positions(frames), axes, one.spacing, (0, 0), one.thickness, name)


@lru_cache(maxsize=64)
def _radians(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> Scale:
    """RescaleType decides, else the range that the values of all slices fill."""
    frames = _indexed(folder, stamp).frames["phase"]
    images = [pixels(frame) for frame in frames]
    units = {frame.unit for frame in frames}
    if len(units) > 1:
        raise SourceError(f"{folder.name}: its phase images are in {len(units)} units.")
    low, high = min(float(image.min()) for image in images), max(float(image.max()) for image in images)
    return phase_scale(low, high, units.pop(), folder.name)
