"""The files of a simulated data set, in the formats of fastMRI (HDF5) and fastMRI+ (CSV)."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import polars as pl

from i2m2_med.simulate.fastmri.acquisition import Complex, Examination, image_of
from i2m2_med.simulate.fastmri.anatomy import Anatomy, box
from i2m2_med.simulate.fastmri.dials import Latents

Row = tuple[str | int, ...]
COLUMNS = ("file", "slice", "study_level", "x", "y", "width", "height", "label")

HEADER = """<?xml version="1.0" encoding="utf-8"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://www.ismrm.org/ISMRMRD ismrmrd.xsd">
  <studyInformation><studyInstanceUID>2.25.{uid}</studyInstanceUID></studyInformation>
  <measurementInformation>
    <patientPosition>{position}</patientPosition><protocolName>{protocol} (simulated)</protocolName>
  </measurementInformation>
  <acquisitionSystemInformation>
    <systemVendor>simulated</systemVendor><systemFieldStrength_T>2.8936</systemFieldStrength_T>
    <receiverChannels>{coils}</receiverChannels>
  </acquisitionSystemInformation>
  <experimentalConditions><H1resonanceFrequency_Hz>123249993</H1resonanceFrequency_Hz></experimentalConditions>
  <encoding>
    <encodedSpace>
      <matrixSize><x>{readout}</x><y>{phase}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>{readout_mm}</x><y>{phase_mm}</y><z>{thickness_mm:g}</z></fieldOfView_mm>
    </encodedSpace>
    <reconSpace>
      <matrixSize><x>{size}</x><y>{size}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>{size_mm}</x><y>{size_mm}</y><z>{thickness_mm:g}</z></fieldOfView_mm>
    </reconSpace>
    <encodingLimits>
      <kspace_encoding_step_1><minimum>0</minimum><maximum>{last}</maximum><center>{centre}</center></kspace_encoding_step_1>
      <slice><minimum>0</minimum><maximum>{last_slice}</maximum><center>0</center></slice>
    </encodingLimits>
    <trajectory>cartesian</trajectory>
  </encoding>
  <sequenceParameters><TR>2750</TR><TE>27</TE><TI>100</TI><flipAngle_deg>140</flipAngle_deg></sequenceParameters>
</ismrmrdHeader>
"""


@dataclass(frozen=True)
class SimulatedVolume:
    """One file of the data set: who, what was drawn, and whether a reader has looked at it."""

    name: str
    patient: str
    """64 hexadecimal digits, as in fastMRI."""
    examination: Examination
    latents: Latents
    reviewed: bool


def write_volume(path: Path, volume: SimulatedVolume, kspace: Iterable[Complex], coils: int) -> None:
    """Write one volume, slice by slice. kspace: (coil, readout, phase) of each slice.

    Single-coil files have no coil axis and hold `reconstruction_esc` beside `reconstruction_rss`, both of their one coil.
    """
    geometry, slices = volume.examination.geometry, len(volume.latents.classes)
    matrix = (geometry.readout, geometry.phase) if coils == 1 else (coils, geometry.readout, geometry.phase)
    with h5py.File(path, "w") as file:
        file["ismrmrd_header"] = header(volume, coils).encode()
        stored = file.create_dataset("kspace", (slices, *matrix), np.complex64)
        rss = np.empty((slices, geometry.size, geometry.size), np.float32)
        for index, one in enumerate(kspace):
            stored[index] = one.reshape(matrix)
            rss[index] = np.sqrt((np.abs(geometry.crop(image_of(one))) ** 2).sum(axis=0))
        for name in ("reconstruction_rss", "reconstruction_esc")[: 2 if coils == 1 else 1]:
            file[name] = rss
        file.attrs.update(
            acquisition=volume.examination.acquisition,
            max=float(rss.max()),
            norm=float(np.linalg.norm(rss)),
            patient_id=volume.patient,
        )


def header(volume: SimulatedVolume, coils: int) -> str:
    """ISMRMRD header (XML) of one volume."""
    geometry, protocol = volume.examination.geometry, volume.examination.anatomy.protocol
    return HEADER.format(
        uid=int(volume.patient[:16], 16),
        protocol=volume.examination.acquisition,
        position=protocol.position,
        thickness_mm=protocol.thickness_mm,
        coils=coils,
        readout=geometry.readout,
        phase=geometry.phase,
        size=geometry.size,
        readout_mm=geometry.readout * protocol.pixel_mm,
        phase_mm=geometry.phase * protocol.pixel_mm,
        size_mm=geometry.size * protocol.pixel_mm,
        last=geometry.phase - 1,
        centre=geometry.phase // 2,
        last_slice=len(volume.latents.classes) - 1,
    )


def write_annotations(
    folder: Path, anatomy: Anatomy, volumes: Sequence[SimulatedVolume], rng: np.random.Generator
) -> None:
    """The annotations and the list of reviewed volumes, with what the real ones hold besides: a study-level row and exact duplicates."""
    reviewed = [volume for volume in volumes if volume.reviewed]
    rows = [row for volume in reviewed for row in boxes(volume, rng)]
    rows += rows[:: max(1, len(rows) // 3)][:3]
    blurred = [volume.name for volume in reviewed if volume.latents.classes[0, 0]]
    rows += [of_study(name, anatomy.blemish) for name in blurred[:1]]
    for volume in reviewed if anatomy.normal else ():
        assert anatomy.normal
        rows += [] if volume.latents.classes.any() else [of_study(volume.name, anatomy.normal)]
    with (folder / f"{anatomy.name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    names = "\n".join(volume.name for volume in reviewed)
    (folder / f"{anatomy.name}_file_list.csv").write_text(names + anatomy.list_ends, encoding="utf-8")


def of_study(name: str, finding: str) -> Row:
    """A row about a whole volume: without a box, under the first slice."""
    return (name, 0, "Yes", "", "", "", "", finding)


def boxes(volume: SimulatedVolume, rng: np.random.Generator) -> list[Row]:
    """Rows of annotations: one or two boxes for every finding of every slice, on the image flipped up/down; one row for a study's."""
    examination, anatomy = volume.examination, volume.examination.anatomy
    rows: list[Row] = []
    for index, number in zip(*np.nonzero(volume.latents.classes), strict=True):
        label = anatomy.labels[number]
        if label in anatomy.of_studies:
            rows += [of_study(volume.name, anatomy.findings[label][0])] if index == 0 else []
            continue
        places = [anatomy.within[label]] + [anatomy.between[label]] * int(rng.random() < 0.5)
        for place in places:
            finding = str(rng.choice(anatomy.findings[label]))
            drawn = box(examination.geometry, examination.pose(0.0), place, anatomy.radius)
            rows.append((volume.name, int(index), "No", *drawn, finding))
    return rows


def write_truth(path: Path, volumes: Sequence[SimulatedVolume]) -> None:
    """`truth.parquet`: class and latents of every file, slice and label, reviewed or not."""
    frames: list[pl.DataFrame] = []
    for volume in volumes:
        slices, labels = volume.latents.classes.shape
        columns = {
            "class": volume.latents.classes,
            "magnitude": volume.latents.magnitude,
            "phase": volume.latents.phase,
        }
        signs = {"contrast": volume.latents.contrast, "shift": volume.latents.shift}
        frame = {
            "file": [volume.name] * slices * labels,
            "patient": [volume.patient] * slices * labels,
            "slice": np.repeat(np.arange(slices), labels),
            "label": list(volume.examination.anatomy.labels) * slices,
            **{name: array.ravel() for name, array in {**columns, **signs}.items()},
            "reviewed": [volume.reviewed] * slices * labels,
        }
        frames.append(pl.DataFrame(frame))
    pl.concat(frames).write_parquet(path)


def write_clinical(path: Path, patients: Sequence[str], seed: int) -> None:
    """Write `patient_id`, `age`, `bmi`, `sex`: a third modality to try, which says nothing of the findings."""
    rng = np.random.default_rng([seed, 5])
    lines = ["patient_id,age,bmi,sex"]
    for patient in patients:
        age, bmi, sex = rng.normal(45, 14), rng.normal(26, 4), "f" if rng.random() < 0.5 else "m"
        lines.append(f"{patient},{age:.0f},{bmi:.1f},{sex}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
