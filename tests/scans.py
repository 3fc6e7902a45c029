"""Scans of an ellipse of known size, in closed form: k-space on any grid, written as fastMRI HDF5 or by the ismrmrd package.

Lengths in mm. An ellipse of half-axes a, b has the Fourier transform a b J₁(2π s) / s with s = |(a k_x, b k_y)|.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
from ismrmrd import xsd
from scipy.special import j1

READOUT_MM, PHASE_MM = 120.0, 72.0
"""The ellipse's whole axes along readout and phase."""
Size = tuple[int, int, int]
Length = tuple[float, float, float]


@dataclass(frozen=True)
class Scan:
    """A header, and what is stored under it."""

    encoded: Size
    encoded_mm: Length
    recon: Size
    recon_mm: Length
    stored: tuple[int, int] | None = None
    """Samples that the file holds along readout and phase, where they are not the encoded ones."""
    removed: bool = False
    """The readout's oversampling was removed: stored samples lie twice as far apart."""
    centre: tuple[float, float] = field(default=(0.0, 0.0))
    """Where the ellipse lies, mm from the middle."""

    @property
    def shape(self) -> tuple[int, int]:
        return self.stored or (self.encoded[0], self.encoded[1])

    def kspace(self) -> np.ndarray:
        """(readout, phase) complex64, DC at n // 2; zero where a stored sample lies beyond the encoded ones."""
        encoded = self.encoded[:2]
        spacing = [1 / mm for mm in self.encoded_mm[:2]]
        if self.removed:
            assert self.stored
            spacing[0] *= self.encoded[0] / self.stored[0]
            encoded = (self.stored[0], encoded[1])
        place = [np.arange(n) - n // 2 for n in self.shape]
        kspace = ellipse(place[0][:, None] * spacing[0], place[1][None] * spacing[1], self.centre)
        for axis, n in enumerate(encoded):
            outside = (place[axis] < -(n // 2)) | (place[axis] >= n - n // 2)
            np.moveaxis(kspace, axis, 0)[outside] = 0
        return (kspace * np.prod(spacing) * np.sqrt(np.prod(self.shape))).astype(np.complex64)


def ellipse(down: np.ndarray, across: np.ndarray, centre: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """The ellipse's k-space at spatial frequencies (cycles per mm)."""
    a, b = READOUT_MM / 2, PHASE_MM / 2
    s = np.maximum(np.hypot(a * down, b * across), 1e-12)
    return a * b * j1(2 * np.pi * s) / s * np.exp(-2j * np.pi * (centre[0] * down + centre[1] * across))


def header(scan: Scan, centres: tuple[int, int] | None = None, **limits: int) -> xsd.ismrmrdHeader:
    """The schema's header; `limits`: the last value of a counter."""
    spaces = [
        xsd.encodingSpaceType(
            matrixSize=xsd.matrixSizeType(x=matrix[0], y=matrix[1], z=matrix[2]),
            fieldOfView_mm=xsd.fieldOfViewMm(x=float(lengths[0]), y=float(lengths[1]), z=float(lengths[2])),
        )
        for matrix, lengths in ((scan.encoded, scan.encoded_mm), (scan.recon, scan.recon_mm))
    ]
    middle = centres or (scan.encoded[1] // 2, scan.encoded[2] // 2)
    along = {
        f"kspace_encoding_step_{n}": xsd.limitType(minimum=0, maximum=scan.encoded[n] - 1, center=middle[n - 1])
        for n in (1, 2)
    }
    along |= {name: xsd.limitType(minimum=0, maximum=last, center=0) for name, last in limits.items()}
    encoding = xsd.encodingType(
        encodedSpace=spaces[0],
        reconSpace=spaces[1],
        encodingLimits=xsd.encodingLimitsType(**along),
        trajectory=xsd.trajectoryType.CARTESIAN,
    )
    return xsd.ismrmrdHeader(
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=123_000_000), encoding=[encoding]
    )


def write_fastmri(path: Path, scan: Scan, xml: str | None = None) -> Path:
    """Two equal slices as fastMRI stores them."""
    with h5py.File(path, "w") as file:
        file["ismrmrd_header"] = xml or xsd.ToXML(header(scan))
        file["kspace"] = np.stack([scan.kspace()] * 2)
        file.attrs.update(patient_id="a", acquisition="CORPD_FBK")
    return path


def line(data: np.ndarray, step: int = 0, **about: object) -> ismrmrd.Acquisition:
    """One readout, (coil, sample). about: counters, `flags`, `center_sample`, `position`, `read_dir`, …"""
    samples = data.shape[-1]
    made = ismrmrd.Acquisition.from_array(np.ascontiguousarray(data, np.complex64))
    made.center_sample = int(about.pop("center_sample", samples // 2))
    made.idx.kspace_encode_step_1 = step
    for flag in about.pop("flags", ()):
        made.set_flag(flag)
    for name, value in about.items():
        if name == "user":
            made.idx.user[0] = value
        elif hasattr(made.idx, name):
            setattr(made.idx, name, value)
        elif name.endswith("_dir") or name == "position":
            getattr(made, name)[:] = value
        else:
            setattr(made, name, value)
    return made


def write_raw(path: Path, head: xsd.ismrmrdHeader | str, lines: list[ismrmrd.Acquisition]) -> Path:
    """An ISMRMRD file by the ismrmrd package."""
    with ismrmrd.Dataset(str(path), "dataset") as file:
        file.write_xml_header(head if isinstance(head, str) else xsd.ToXML(head))
        for one in lines:
            file.append_acquisition(one)
    return path


def lines_of(kspace: np.ndarray, **about: object) -> list[ismrmrd.Acquisition]:
    """Every column of (readout, phase) as a readout of one coil."""
    return [line(kspace[None, :, step], step, **about) for step in range(kspace.shape[1])]


def write_ismrmrd(path: Path, scan: Scan) -> Path:
    """One slice as ISMRMRD."""
    return write_raw(path, header(scan), lines_of(scan.kspace()))


def extents_mm(image: np.ndarray, voxel_mm: tuple[float, ...]) -> tuple[float, float]:
    """Width at half the inner signal along the middle row and column, in mm; the edges are interpolated."""
    image = np.abs(image)
    inside = float(np.median(image[image > 0.5 * np.quantile(image, 0.99)]))
    mass = image / image.sum()
    middle = [round(float((mass.sum(axis=1 - axis) * np.arange(image.shape[axis])).sum())) for axis in (0, 1)]
    return width(image[:, middle[1]] / inside) * voxel_mm[0], width(image[middle[0]] / inside) * voxel_mm[1]


def width(profile: np.ndarray) -> float:
    """Full width at half maximum, in pixels."""
    over = np.flatnonzero(profile > 0.5)
    first, last = over[0], over[-1]
    left = first - (profile[first] - 0.5) / (profile[first] - profile[first - 1]) if first else -0.5
    right = (
        last + (profile[last] - 0.5) / (profile[last] - profile[last + 1]) if last + 1 < len(profile) else last + 0.5
    )
    return float(right - left)


SIEMENS_TSE = Scan((512, 228, 1), (460, 204.5, 3), (512, 432, 1), (230, 194, 3))
FASTMRI = Scan((640, 368, 1), (280, 161, 3), (320, 320, 1), (140, 140, 3))
SCANS = {
    "siemens_tse": SIEMENS_TSE,
    "fastmri": FASTMRI,
    "interpolated": Scan((256, 128, 1), (280, 140, 3), (512, 512, 1), (140, 140, 3)),
    "phase_resolution_60": Scan((640, 192, 1), (280, 140, 3), (320, 320, 1), (140, 140, 3)),
    "oversampling_removed": replace(FASTMRI, stored=(320, 368), removed=True),
    "wider_than_its_header": replace(FASTMRI, stored=(640, 480)),
    "readout_wider_than_its_header": replace(FASTMRI, stored=(768, 368)),
    "rectangular_field_of_view": Scan((640, 206, 1), (280, 90.125, 3), (320, 206, 1), (140, 90.125, 3)),
    "phase_oversampling": Scan((640, 480, 1), (280, 210, 3), (320, 320, 1), (140, 140, 3)),
    "odd_sizes": Scan((301, 155, 1), (301, 155, 3), (161, 151, 1), (161, 151, 3)),
    "odd_sizes_interpolated": Scan((301, 155, 1), (280, 150, 3), (333, 321, 1), (151, 143, 3)),
    "anisotropic": Scan((512, 200, 1), (360, 180, 3), (256, 240, 1), (180, 150, 3)),
    "lower_than_encoded": Scan((640, 368, 1), (280, 161, 3), (160, 160, 1), (140, 140, 3)),
}
"""What scanners write, by what is special about it."""
