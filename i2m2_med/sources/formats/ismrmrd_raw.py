"""ISMRMRD raw data (Inati et al. 2017): readouts in the order they were measured → k-space of one slice.

Cartesian, one contrast (the first). Lines that were measured several times (averages, repetitions) are averaged; noise
scans, navigators and other readouts that are no image data are left out; partial echoes are put at their echo centre.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.geometry import Axis, stored_axis
from i2m2_med.sources.formats.hdf5 import MAX_BYTES, OpenFile, open_file
from i2m2_med.sources.formats.ismrmrd_header import Encoding, Header, parse_header
from i2m2_med.sources.formats.volume import Volume, kspace_energy, rows_shown

GROUP = "dataset"
"""Where ISMRMRD files keep a measurement."""
NO_IMAGE_DATA = (19, 20, 23, 24, 26, 27, 28, 29)
"""Flags (1-based bits): noise, separate calibration, navigation, phase correction, feedback, dummy and surface-coil scans."""
REVERSED = 22
"""Flag of a readout that was measured backwards (EPI)."""


@dataclass(frozen=True)
class Index:
    """Which readouts belong to which slice."""

    header: Header
    heads: np.ndarray
    """ISMRMRD's own acquisition headers, one per readout."""
    image: np.ndarray
    """Row numbers of the readouts that hold image data."""
    n_coils: int
    axes: tuple[Axis, Axis]
    """Readout and phase."""

    @property
    def shape(self) -> tuple[int, int]:
        """Samples along readout and phase."""
        return self.axes[0].samples, self.axes[1].samples

    @property
    def n_slices(self) -> int:
        return int(self.heads["idx"]["slice"][self.image].max()) + 1


def is_ismrmrd(path: Path) -> bool:
    """Whether an HDF5 file is raw data in ISMRMRD's form."""
    file = open_file(path)
    return "kspace" not in file and f"{GROUP}/data" in file and f"{GROUP}/xml" in file


def inspect_raw(path: Path) -> Volume:
    """Read the raw data once, slice by slice, and check them."""
    file = open_file(path)
    index = _index(file)
    readout, phase = index.axes
    rows = rows_shown(readout)
    energies = [kspace_energy(read_raw(path, number), rows, path.name, number) for number in range(index.n_slices)]
    return Volume(
        format="ismrmrd",
        n_slices=index.n_slices,
        n_coils=index.n_coils,
        readout=readout.samples,
        phase=phase.samples,
        recon=(readout.recon, phase.recon),
        step=(readout.step, phase.step),
        field_strength_t=index.header.field_strength_t,
        voxel_mm=(readout.recon_mm, phase.recon_mm, index.header.encodings[0].recon.pixel_mm(2)),
        energies=tuple(energies),
    )


def read_raw(path: Path, number: int) -> np.ndarray:
    """K-space of one slice, (coil, readout, phase) complex64, zero where no line was measured."""
    file = open_file(path)
    index = _index(file)
    rows = index.image[index.heads["idx"]["slice"][index.image] == number]
    if not len(rows):
        raise SourceError(f"{file.name} holds no readout of slice {number}.")
    data = file.read(f"{GROUP}/data", np.sort(rows))["data"]
    kspace = np.zeros((index.n_coils, *index.shape), np.complex64)
    times = np.zeros(index.shape[1], np.float32)
    for head, samples in zip(index.heads[np.sort(rows)], data, strict=True):
        column = _column(file, index, int(head["idx"]["kspace_encode_step_1"]))
        _add_line(kspace[:, :, column], head, samples, file.name)
        times[column] += 1
    return kspace / np.maximum(times, 1)


def _index(file: OpenFile) -> Index:
    """The file's index, made once per open file."""
    if "ismrmrd" not in file.kept:
        file.kept["ismrmrd"] = _read_index(file)
    return file.kept["ismrmrd"]


def _read_index(file: OpenFile) -> Index:
    header = parse_header(file.read(f"{GROUP}/xml").reshape(-1)[0], file.name)
    encoding = header.encodings[0]
    if encoding.trajectory != "cartesian":
        raise SourceError(
            f"{file.name} was measured along a {encoding.trajectory} trajectory; only Cartesian data can be read."
        )
    table = file.array(f"{GROUP}/data")
    try:
        heads = np.asarray(table.fields("head")[()])
        flags = heads["flags"]
        image = np.flatnonzero(
            ~_flagged(flags, NO_IMAGE_DATA) & (heads["idx"]["contrast"] == 0) & (heads["idx"]["set"] == 0)
        )
    except (ValueError, KeyError, OSError, IndexError) as error:
        raise SourceError(f"{file.name}: {GROUP}/data is no table of ISMRMRD acquisitions.") from error
    if not len(image):
        raise SourceError(f"{file.name} holds no image readouts.")
    if _flagged(flags[image], (REVERSED,)).any():
        raise SourceError(f"{file.name} holds readouts measured backwards (EPI), which can't be read.")
    return _not_huge(
        file.name,
        Index(header, heads, image, int(heads["active_channels"][image[0]]), _axes(file.name, encoding, heads[image])),
    )


def _axes(name: str, encoding: Encoding, heads: np.ndarray) -> tuple[Axis, Axis]:
    """Readout and phase: as encoded, but the readout may come without its oversampling."""
    encoded, phase, _ = encoding.encoded.matrix
    samples = int(heads["number_of_samples"].max())
    whole = (heads["number_of_samples"] == samples) & (heads["center_sample"] == samples // 2)
    readout = samples if samples < encoded and whole.all() else encoded
    try:
        return stored_axis(encoding, 0, readout, name), stored_axis(encoding, 1, phase, name)
    except SourceError:
        return stored_axis(encoding, 0, encoded, name), stored_axis(encoding, 1, phase, name)


def _not_huge(name: str, index: Index) -> Index:
    size = 8.0 * index.n_coils * index.shape[0] * index.shape[1]
    if size > MAX_BYTES or index.n_coils < 1:
        raise SourceError(
            f"{name} declares {index.n_coils} coils of {index.shape[0]} × {index.shape[1]}: not to be read at once."
        )
    return index


def _flagged(flags: np.ndarray, bits: tuple[int, ...]) -> np.ndarray:
    return (flags & np.uint64(sum(1 << (bit - 1) for bit in bits))) != 0


def _column(file: OpenFile, index: Index, step: int) -> int:
    """The k-space column of a phase-encoding step, DC in the middle."""
    centre = index.header.encodings[0].centres[0]
    column = step - (index.shape[1] // 2 if centre is None else centre) + index.shape[1] // 2
    if not 0 <= column < index.shape[1]:
        raise SourceError(
            f"{file.name}: phase-encoding step {step} lies outside the header's {index.shape[1]} columns."
        )
    return column


def _add_line(line: np.ndarray, head: np.void, samples: np.ndarray, name: str) -> None:
    """Add one readout to `line` (coil, readout) at its echo centre."""
    n_samples, n_coils = int(head["number_of_samples"]), int(head["active_channels"])
    if len(samples) != 2 * n_samples * n_coils or n_coils != len(line):
        raise SourceError(
            f"{name}: a readout holds {len(samples)} values, not 2 × {n_samples} samples × {len(line)} coils."
        )
    first, last = int(head["discard_pre"]), n_samples - int(head["discard_post"])
    start = line.shape[1] // 2 - int(head["center_sample"]) + first
    if start < 0 or start + last - first > line.shape[1] or last < first:
        raise SourceError(f"{name}: a readout of {last - first} samples does not fit the header's {line.shape[1]}.")
    values = np.ascontiguousarray(samples).view(np.complex64).reshape(n_coils, n_samples)
    line[:, start : start + last - first] += values[:, first:last]
