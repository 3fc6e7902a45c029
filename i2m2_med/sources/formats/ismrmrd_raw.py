"""ISMRMRD raw data (Inati et al. 2017): readouts in the order they were measured → k-space of one slice.

Cartesian, two- and three-dimensional. Which readouts make up the image: `ismrmrd_counters.py`. Lines that were not measured
(acceleration, elliptical or variable density, partial Fourier along either phase encoding) are zero; partial echoes are put
at their echo centre. Partitions of a three-dimensional scan are transformed here; what is read are slices.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.geometry import Axis, stored_axis
from i2m2_med.sources.formats.hdf5 import MAX_BYTES, OpenFile, open_file
from i2m2_med.sources.formats.ismrmrd_counters import ONLY_IMAGE, Choice, Chosen, choose
from i2m2_med.sources.formats.ismrmrd_header import Encoding, Header, parse_header
from i2m2_med.sources.formats.ismrmrd_place import slices_in_place
from i2m2_med.sources.formats.orientation import Storage
from i2m2_med.sources.formats.partitions import transform_partitions
from i2m2_med.sources.formats.volume import Volume, kspace_energy, rows_shown

GROUP = "dataset"
"""Where ISMRMRD files keep a measurement."""
BLOCK = 1024
"""Readouts that are read at once."""
MAX_VOLUME = 2 * MAX_BYTES
"""Of a three-dimensional scan, which must be held as a whole: 8 coils of 320 × 320 × 256 are 1.6 GiB."""


@dataclass(frozen=True)
class Index:
    """One image of a file: its readouts, and where they lie."""

    header: Header
    encoding: Encoding
    heads: np.ndarray
    """ISMRMRD's own acquisition headers, one per readout of the file."""
    chosen: Chosen
    n_coils: int
    axes: tuple[Axis, Axis]
    """Readout and phase."""
    partitions: Axis | None
    """None in two-dimensional scans."""
    slices: tuple[int, ...]
    """Values of the slice counter, in the order in which slices are shown."""
    storage: Storage
    spacing_mm: float
    """From slice to slice."""

    @property
    def n_slices(self) -> int:
        """Slices that are shown."""
        return self.partitions.shown if self.partitions else len(self.slices)

    @property
    def shape(self) -> tuple[int, int]:
        """Samples along readout and phase."""
        return self.axes[0].samples, self.axes[1].samples


_whole: dict[str, tuple[object, np.ndarray]] = {}
"""The three-dimensional scan that was read last, (slice, coil, readout, phase): its slices are mostly read in turn."""


def is_ismrmrd(path: Path) -> bool:
    """Whether an HDF5 file is raw data in ISMRMRD's form."""
    file = open_file(path)
    return "kspace" not in file and f"{GROUP}/data" in file and f"{GROUP}/xml" in file


def inspect_raw(path: Path, choice: Choice = ONLY_IMAGE) -> Volume:
    """Read one image of the raw data, slice by slice, and check it. Raises SourceError where `choice` leaves more than one."""
    index = _index(open_file(path), choice)
    readout, phase = index.axes
    rows = rows_shown(readout)
    energies = [
        kspace_energy(read_raw(path, number, choice), rows, path.name, number) for number in range(index.n_slices)
    ]
    across = (phase, readout) if index.storage.transpose else (readout, phase)
    return Volume(
        format="ismrmrd",
        n_slices=index.n_slices,
        n_coils=index.n_coils,
        readout=readout.samples,
        phase=phase.samples,
        recon=(readout.recon, phase.recon),
        step=(readout.step, phase.step),
        field_strength_t=index.header.field_strength_t,
        body_part=index.header.body_part,
        voxel_mm=(across[0].recon_mm, across[1].recon_mm, index.spacing_mm),
        encoded_mm=(across[0].pixel_mm, across[1].pixel_mm),
        affine=None if index.storage.affine is None else tuple(index.storage.affine.ravel().tolist()),
        turn=index.storage.turn,
        remarks=index.chosen.remarks,
        simulated=index.header.simulated,
        energies=tuple(energies),
    )


def read_raw(path: Path, number: int, choice: Choice = ONLY_IMAGE) -> np.ndarray:
    """K-space of one slice, (coil, readout, phase) complex64, zero where no line was measured."""
    file = open_file(path)
    index = _index(file, choice)
    if not 0 <= number < index.n_slices:
        raise SourceError(f"{file.name} has {index.n_slices} slices, not a slice {number}. Run `i2m2 prepare` again.")
    if index.partitions:
        shown = index.storage.slice_number(number, index.n_slices)
        return _whole_scan(file, index, choice)[shown]
    rows = index.chosen.rows
    rows = rows[index.heads["idx"]["slice"][rows] == index.slices[number]]
    return _kspace(file, index, rows)[0]


def _whole_scan(file: OpenFile, index: Index, choice: Choice) -> np.ndarray:
    """A three-dimensional scan, (slice, coil, readout, phase): kept until another one is read."""
    key = str((file.path, file.stamp, choice))
    if key not in _whole:
        _whole.clear()
        assert index.partitions
        kspace = _kspace(file, index, index.chosen.rows)
        _whole[key] = (file.stamp, transform_partitions(kspace, index.partitions))
    return _whole[key][1]


def _kspace(file: OpenFile, index: Index, rows: np.ndarray) -> np.ndarray:
    """The k-space of some readouts, (partition, coil, readout, phase); lines measured several times are averaged."""
    n_partitions = index.partitions.samples if index.partitions else 1
    kspace = np.zeros((n_partitions, index.n_coils, *index.shape), np.complex64)
    times = np.zeros((n_partitions, 1, 1, index.shape[1]), np.float32)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        data = file.read(f"{GROUP}/data", block)["data"]
        for head, samples in zip(index.heads[block], data, strict=True):
            column = _place(file.name, int(head["idx"]["kspace_encode_step_1"]), index.encoding, 1, index.shape[1])
            step = int(head["idx"]["kspace_encode_step_2"])
            depth = _place(file.name, step, index.encoding, 2, n_partitions) if index.partitions else 0
            _add_line(kspace[depth, :, :, column], head, samples, file.name)
            times[depth, ..., column] += 1
    if times.max() > 1:
        kspace /= np.maximum(times, 1)
    return kspace


def _index(file: OpenFile, choice: Choice) -> Index:
    """The file's index, made once per open file and image."""
    key = f"ismrmrd {choice}"
    if key not in file.kept:
        file.kept[key] = _read_index(file, choice)
    return file.kept[key]


def _read_index(file: OpenFile, choice: Choice) -> Index:
    header = parse_header(file.read(f"{GROUP}/xml").reshape(-1)[0], file.name)
    if not 0 <= choice.encoding < len(header.encodings):
        raise SourceError(f"{file.name} has {len(header.encodings)} encodings, not an encoding {choice.encoding}.")
    encoding = header.encodings[choice.encoding]
    if encoding.trajectory != "cartesian":
        raise SourceError(
            f"{file.name} was measured along a {encoding.trajectory} trajectory; only Cartesian data can be read."
        )
    heads, chosen = _readouts(file, choice)
    used = heads[chosen.rows]
    n_coils, axes = (
        int(used["active_channels"][0]),
        (_readout(file, encoding, heads, chosen), _phase(file, encoding, used)),
    )
    partitions = _partitions(file.name, encoding, used)
    depth = partitions.samples if partitions else 1
    _refuse_huge(file.name, n_coils, (axes[0].samples, axes[1].samples), depth)
    place = slices_in_place(used, axes, partitions, encoding.recon.pixel_mm(2), file.name)
    return Index(
        header, encoding, heads, chosen, n_coils, axes, partitions, place.slices, place.storage, place.spacing_mm
    )


def _readouts(file: OpenFile, choice: Choice) -> tuple[np.ndarray, Chosen]:
    """Every readout's header, and which of them make up the image."""
    table = file.array(f"{GROUP}/data")
    try:
        heads = np.asarray(table.fields("head")[()])
        return heads, choose(heads, choice, file.name)
    except (ValueError, KeyError, OSError, IndexError) as error:
        raise SourceError(f"{file.name}: {GROUP}/data is no table of ISMRMRD acquisitions.") from error


def _readout(file: OpenFile, encoding: Encoding, heads: np.ndarray, chosen: Chosen) -> Axis:
    """As encoded; or all as they are, where they come without their oversampling or zero-filled."""
    used, encoded = heads[chosen.rows], encoding.encoded.matrix[0]
    kept, centre = _kept_samples(used)
    samples = int(kept.max())
    symmetric = (used["number_of_samples"] == samples) & (kept == samples) & (centre == samples // 2)
    if samples == encoded or not symmetric.all():
        return stored_axis(encoding, 0, encoded, file.name)
    if 8 * samples * int(used["active_channels"].max()) > MAX_BYTES:
        raise SourceError(f"{file.name} declares readouts of {samples} samples: not to be read at once.")
    return stored_axis(encoding, 0, samples, file.name, lambda kept: _empty_beyond(file, chosen.rows, samples, kept))


def _kept_samples(heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples of each readout without those to discard at its ends, and which of them is its centre."""
    before, after = (heads[name].astype(np.int64) for name in ("discard_pre", "discard_post"))
    return heads["number_of_samples"] - before - after, heads["center_sample"] - before


def _empty_beyond(file: OpenFile, rows: np.ndarray, samples: int, kept: int) -> bool:
    """Whether readouts hold nothing but zeros outside their central `kept` samples."""
    first = samples // 2 - kept // 2
    for start in range(0, len(rows), BLOCK):
        for data in file.read(f"{GROUP}/data", rows[start : start + BLOCK])["data"]:
            values = data.reshape(-1, samples, 2)
            if values[:, :first].any() or values[:, first + kept :].any():
                return False
    return True


def _phase(file: OpenFile, encoding: Encoding, used: np.ndarray) -> Axis:
    """As encoded. Raises SourceError where nothing says which line crosses the centre of k-space."""
    _refuse_centreless(file.name, encoding, 1, int(used["idx"]["kspace_encode_step_1"].max()))
    return stored_axis(encoding, 1, encoding.encoded.matrix[1], file.name)


def _partitions(name: str, encoding: Encoding, used: np.ndarray) -> Axis | None:
    """The third axis of a three-dimensional scan; None in two dimensions. Raises SourceError for several slabs."""
    declared, last = encoding.encoded.matrix[2], int(used["idx"]["kspace_encode_step_2"].max())
    n_slices = len(np.unique(used["idx"]["slice"]))
    if last == 0:
        if declared not in (1, n_slices):
            raise SourceError(f"{name}: the header says {declared} partitions, but the readouts are of one.")
        return None
    if n_slices > 1:
        raise SourceError(f"{name} holds {n_slices} slabs of partitions; only one can be read.")
    _refuse_centreless(name, encoding, 2, last)
    return stored_axis(encoding, 2, declared, name)


def _refuse_centreless(name: str, encoding: Encoding, axis: int, last: int) -> None:
    """Raise SourceError where the header names no central step and steps don't span what it encodes."""
    encoded = encoding.encoded.matrix[axis]
    if encoding.centres[axis - 1] is None and last + 1 <= 0.9 * encoded:
        raise SourceError(
            f"{name}: steps 0 to {last} of {encoded} were measured, and the header does not say which is the centre."
        )


def _refuse_huge(name: str, n_coils: int, shape: tuple[int, int], depth: int) -> None:
    size = 8.0 * n_coils * shape[0] * shape[1]
    if size > MAX_BYTES or size * depth > MAX_VOLUME or n_coils < 1:
        raise SourceError(
            f"{name} declares {n_coils} coils of {shape[0]} × {shape[1]} × {depth}: not to be read at once."
        )


def _place(name: str, step: int, encoding: Encoding, axis: int, size: int) -> int:
    """Where a phase-encoding step or partition lies in k-space, DC in the middle."""
    centre = encoding.centres[axis - 1]
    place = step - (size // 2 if centre is None else centre) + size // 2
    if not 0 <= place < size:
        what = ("phase-encoding step", "columns") if axis == 1 else ("partition", "partitions")
        raise SourceError(f"{name}: {what[0]} {step} lies outside the header's {size} {what[1]}.")
    return place


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
