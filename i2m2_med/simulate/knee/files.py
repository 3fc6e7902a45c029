"""The files of a simulated knee data set, in the formats of fastMRI (HDF5) and fastMRI+ (CSV)."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import polars as pl

from i2m2_med.simulate.knee import anatomy
from i2m2_med.simulate.knee.acquisition import Complex, Knee, image_of
from i2m2_med.simulate.knee.dials import LABELS, Latents

FINDINGS = {
    "abnormal": (
        "Joint Effusion ",
        "Bone- Subchondral edema",
        "Bone-Fracture/Contusion/dislocation",
        "Periarticular cysts",
        "Ligament - MCL Low-Mod Grade Sprain",
        "Displaced Meniscal Tissue",
    ),
    "meniscus_tear": ("Meniscus Tear",),
    "acl": ("Ligament - ACL Low Grade sprain", "Ligament - ACL High Grade Sprain"),
    "cartilage": ("Cartilage - Partial Thickness loss/defect", "Cartilage - Full Thickness loss/defect"),
}
"""fastMRI+ strings, trailing blank included, that the published rule turns into each label."""
COLUMNS = ("file", "slice", "study_level", "x", "y", "width", "height", "label")
PIXEL_MM = 0.4375

HEADER = """<?xml version="1.0" encoding="utf-8"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://www.ismrm.org/ISMRMRD ismrmrd.xsd">
  <studyInformation><studyInstanceUID>2.25.{uid}</studyInstanceUID></studyInformation>
  <measurementInformation>
    <patientPosition>FFS</patientPosition><protocolName>{protocol} (simulated)</protocolName>
  </measurementInformation>
  <acquisitionSystemInformation>
    <systemVendor>simulated</systemVendor><systemFieldStrength_T>2.8936</systemFieldStrength_T>
    <receiverChannels>{coils}</receiverChannels>
  </acquisitionSystemInformation>
  <experimentalConditions><H1resonanceFrequency_Hz>123249993</H1resonanceFrequency_Hz></experimentalConditions>
  <encoding>
    <encodedSpace>
      <matrixSize><x>{readout}</x><y>{phase}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>{readout_mm}</x><y>{phase_mm}</y><z>3</z></fieldOfView_mm>
    </encodedSpace>
    <reconSpace>
      <matrixSize><x>{size}</x><y>{size}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>{size_mm}</x><y>{size_mm}</y><z>3</z></fieldOfView_mm>
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
    knee: Knee
    latents: Latents
    reviewed: bool

    @property
    def acquisition(self) -> str:
        """fastMRI's name of the protocol."""
        return "CORPDFS_FBK" if self.knee.fat_suppressed else "CORPD_FBK"


def write_volume(path: Path, volume: SimulatedVolume, kspace: Iterable[Complex], coils: int) -> None:
    """Write one volume, slice by slice. kspace: (coil, readout, phase) of each slice.

    Single-coil files have no coil axis and hold `reconstruction_esc` beside `reconstruction_rss`, both of their one coil.
    """
    geometry, slices = volume.knee.geometry, len(volume.latents.classes)
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
            acquisition=volume.acquisition,
            max=float(rss.max()),
            norm=float(np.linalg.norm(rss)),
            patient_id=volume.patient,
        )


def header(volume: SimulatedVolume, coils: int) -> str:
    """ISMRMRD header (XML) of one volume."""
    geometry = volume.knee.geometry
    return HEADER.format(
        uid=int(volume.patient[:16], 16),
        protocol=volume.acquisition,
        coils=coils,
        readout=geometry.readout,
        phase=geometry.phase,
        size=geometry.size,
        readout_mm=geometry.readout * PIXEL_MM,
        phase_mm=geometry.phase * PIXEL_MM,
        size_mm=geometry.size * PIXEL_MM,
        last=geometry.phase - 1,
        centre=geometry.phase // 2,
        last_slice=len(volume.latents.classes) - 1,
    )


def write_annotations(folder: Path, volumes: Sequence[SimulatedVolume], rng: np.random.Generator) -> None:
    """`knee.csv` and `knee_file_list.csv`, with what the real ones hold besides: a study-level row and exact duplicates."""
    rows = [row for volume in volumes if volume.reviewed for row in boxes(volume, rng)]
    rows += rows[:: max(1, len(rows) // 3)][:3]
    blurred = [v for v in volumes if v.reviewed and v.latents.classes[0, LABELS.index("abnormal")]]
    rows += [(volume.name, 0, "Yes", "", "", "", "", "artifact") for volume in blurred[:1]]
    with (folder / "knee.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    names = [volume.name for volume in volumes if volume.reviewed]
    (folder / "knee_file_list.csv").write_text("\n".join(names) + "\nKnee data\n")


def boxes(volume: SimulatedVolume, rng: np.random.Generator) -> list[tuple[str | int, ...]]:
    """Rows of `knee.csv`: one or two boxes for every finding of every slice, on the image flipped up/down."""
    geometry, pose = volume.knee.geometry, volume.knee.pose(0.0)
    rows: list[tuple[str | int, ...]] = []
    for index, number in zip(*np.nonzero(volume.latents.classes), strict=True):
        label = LABELS[number]
        places = [anatomy.WITHIN[label]] + [anatomy.BETWEEN[label]] * int(rng.random() < 0.5)
        for place in places:
            finding = str(rng.choice(FINDINGS[label]))
            rows.append((volume.name, int(index), "No", *anatomy.box(geometry, pose, place), finding))
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
            "label": list(LABELS) * slices,
            **{name: array.ravel() for name, array in {**columns, **signs}.items()},
            "reviewed": [volume.reviewed] * slices * labels,
        }
        frames.append(pl.DataFrame(frame))
    pl.concat(frames).write_parquet(path)
