"""DICOM series of grey images of any modality → one stack in its place. Several series, patients or matrices are refused."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.table.paths import files_below

MOST_VOXELS = 1 << 29


def dicom_stack(path: Path, *, pixels: bool) -> tuple[Any, np.ndarray | None]:
    """One series as (x, y, slice) with its affine in RAS, or one image without a place as (row, column). Values are rescaled."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's would print values of tags
        files = [
            file
            for file in files_below(path)
            if file.suffix.lower() in {".dcm", ".ima", ""} and file.name != "DICOMDIR"
        ]
        heads = [pydicom.dcmread(file, stop_before_pixels=not pixels) for file in files]
        heads = [head for head in heads if "Rows" in head]
    if not heads:
        raise SourceError(f"{path.name} holds no DICOM image")
    for what, tag in (("series", "SeriesInstanceUID"), ("patients", "PatientID"), ("matrices", ("Rows", "Columns"))):
        found = {tuple(str(head.get(one)) for one in ([tag] if isinstance(tag, str) else tag)) for head in heads}
        if len(found) > 1:
            raise SourceError(f"{path.name} holds images of {len(found)} {what}; give each a folder of its own")
    first = heads[0]
    if first.get("SamplesPerPixel", 1) != 1 or any(int(head.get("NumberOfFrames", 1) or 1) > 1 for head in heads):
        raise SourceError(
            f"{path.name} holds colours, or several frames in one file; give a series of single grey images"
        )
    if int(first.Rows) * int(first.Columns) * len(heads) > MOST_VOXELS:
        raise SourceError(f"{path.name} is larger than what is read at once")
    alone = len(heads) == 1 and "ImagePositionPatient" not in first
    heads, affine = (heads, None) if alone else in_order(heads, path.name)
    rows, columns = int(first.Rows), int(first.Columns)
    if alone:
        return (rescaled(first) if pixels else np.broadcast_to(np.float32(0), (rows, columns))), None
    if not pixels:
        return np.broadcast_to(np.float32(0), (columns, rows, len(heads))), affine
    return np.stack([rescaled(head).T for head in heads], axis=2), affine


def rescaled(head: Any) -> np.ndarray:
    """(row, column) float32 in the file's own unit (HU of CT); dark and bright as MONOCHROME2 has them."""
    values = head.pixel_array.astype(np.float32)
    slope, offset = (head.get(name) for name in ("RescaleSlope", "RescaleIntercept"))
    values = values * (1.0 if slope is None else float(slope)) + (0.0 if offset is None else float(offset))
    return values.max() - values if head.get("PhotometricInterpretation") == "MONOCHROME1" else values


def in_order(heads: list[Any], name: str) -> tuple[list[Any], np.ndarray]:
    """Images one behind the other, and their affine in RAS."""
    if any("ImagePositionPatient" not in head or "ImageOrientationPatient" not in head for head in heads):
        raise SourceError(f"{name}: its images don't say where they lie, so their order isn't known")
    turns = np.array([[float(x) for x in head.ImageOrientationPatient] for head in heads])
    if np.abs(turns - turns[0]).max() > 1e-3:
        raise SourceError(f"{name}: its slices are tilted against each other; give one stack a folder of its own")
    along, down = turns[0][:3], turns[0][3:]
    normal = np.cross(along, down)
    places = np.array([[float(x) for x in head.ImagePositionPatient] for head in heads])
    order = np.argsort(places @ normal, kind="stable")
    steps = np.diff((places @ normal)[order])
    if len(heads) > 1 and (steps.min() < 1e-3 or steps.max() > 1.1 * np.median(steps)):
        raise SourceError(f"{name}: two images lie in one place, or slices are missing between others")
    spacing = [float(x) for x in heads[0].PixelSpacing]
    last = (
        (places[order[-1]] - places[order[0]]) / max(len(heads) - 1, 1)
        if len(heads) > 1
        else normal * float(heads[0].get("SliceThickness", 1) or 1)
    )
    affine = np.eye(4)
    affine[:3, :4] = np.column_stack([along * spacing[1], down * spacing[0], last, places[order[0]]])
    return [heads[index] for index in order], np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
