"""Healthy knee study folders, one function per way in which a study may have been stored."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from i2m2_med.simulate.fastmri import acquisition
from i2m2_med.simulate.fastmri.acquisition import Complex
from i2m2_med.simulate.fastmri.anatomy import Geometry
from i2m2_med.simulate.fastmri.dials import Dials, draw_latents
from i2m2_med.simulate.fastmri.files import SimulatedVolume, header, write_volume
from i2m2_med.simulate.knee.anatomy import KNEE, PIXEL_MM, SLICE_MM

SIDECAR = '{"Units": "rad"}\n'
"""BIDS: the unit of a phase image."""
DIALS = Dials(magnitude=1.0, phase=1.0, between=1.0)
PREVALENCE = 0.4
FIRST_IN_SLICE, LAST_IN_SLICE = 1 << 6, 1 << 7
"""Flags of ISMRMRD."""


@dataclass(frozen=True)
class KneeStudy:
    """The content of one study folder: a simulated volume and its k-space."""

    volume: SimulatedVolume
    kspace: Complex
    """(slice, coil, readout, phase), DC in the centre."""

    @property
    def images(self) -> Complex:
        """Centre crop of the single coil's image, (slice, row, column)."""
        return self.volume.examination.geometry.crop(acquisition.image_of(self.kspace))[:, 0]


def draw_study(geometry: Geometry, slices: int, rng: np.random.Generator) -> KneeStudy:
    """One single-coil knee with all kinds of evidence."""
    classes = (rng.random((slices, len(KNEE.labels))) < PREVALENCE).astype(np.int8)
    latents = draw_latents(classes, DIALS, rng)
    examination = acquisition.draw_examination(KNEE, geometry, float(rng.uniform(0.95, 1.05)), rng)
    kspace = np.stack([*acquisition.acquire(examination, latents, acquisition.sensitivities(geometry, 1), rng)])
    return KneeStudy(SimulatedVolume("study", rng.bytes(32).hex(), examination, latents, reviewed=False), kspace)


def write_kspace(folder: Path, study: KneeStudy) -> None:
    """`kspace.h5`, a fastMRI volume without reconstruction."""
    write_volume(folder / "kspace.h5", study.volume, study.kspace, coils=1)


def write_named_kspace(folder: Path, study: KneeStudy) -> None:
    """Two volumes of one study, and `study.yaml` to say which one counts."""
    write_volume(folder / "first_try.h5", study.volume, study.kspace[:, :, ::-1], coils=1)
    write_volume(folder / "repeated.h5", study.volume, study.kspace, coils=1)
    (folder / "study.yaml").write_text("kspace: repeated.h5\n", encoding="utf-8")


def write_raw(folder: Path, study: KneeStudy) -> None:
    """`raw.h5`, ISMRMRD: one acquisition per slice and line, as the scanner stores them."""
    rows = np.array([*acquisitions(study.kspace)], raw_type())
    with h5py.File(folder / "raw.h5", "w") as file:
        xml = file.create_dataset("dataset/xml", (1,), h5py.special_dtype(vlen=bytes))
        xml[0] = header(study.volume, coils=study.kspace.shape[1])
        file.create_dataset("dataset/data", data=rows, maxshape=(None,), chunks=(min(len(rows), 64),))


def acquisitions(kspace: Complex) -> Iterator[tuple[tuple[object, ...], np.ndarray, np.ndarray]]:
    """ISMRMRD's (head, trajectory, data) of every line; data are real and imaginary parts in turn, coil by coil."""
    slices, coils, readout, lines = kspace.shape
    nothing = np.empty(0, np.float32)
    for counter, (at, line) in enumerate(np.ndindex(slices, lines)):
        flags = FIRST_IN_SLICE * (line == 0) | LAST_IN_SLICE * (line == lines - 1)
        where = (line, 0, 0, at, 0, 0, 0, 0, 0, (0,) * 8)
        sizes = (readout, coils, coils, (0,) * 16, 0, 0, readout // 2, 0, 0, 5.0)
        axes = ((0.0, -at * SLICE_MM, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 0.0))
        head = (1, flags, 1, counter, counter, (0,) * 3, *sizes, *axes, where, (0,) * 8, (0.0,) * 8)
        yield head, nothing, np.ascontiguousarray(kspace[at, :, :, line]).view(np.float32).ravel()


def raw_type() -> np.dtype:
    """One acquisition of an ISMRMRD file (version 1 of the format)."""
    counters = ("average", "slice", "contrast", "phase", "repetition", "set", "segment")
    steps = [(f"kspace_encode_step_{number}", "<u2") for number in (1, 2)]
    idx = [*steps, *((name, "<u2") for name in counters), ("user", "<u2", (8,))]
    stamps = ("measurement_uid", "scan_counter", "acquisition_time_stamp")
    sizes = ("discard_pre", "discard_post", "center_sample", "encoding_space_ref", "trajectory_dimensions")
    axes = ("position", "read_dir", "phase_dir", "slice_dir", "patient_table_position")
    head = np.dtype(
        [
            ("version", "<u2"),
            ("flags", "<u8"),
            *((name, "<u4") for name in stamps),
            ("physiology_time_stamp", "<u4", (3,)),
        ]
        + [(name, "<u2") for name in ("number_of_samples", "available_channels", "active_channels")]
        + [("channel_mask", "<u8", (16,)), *((name, "<u2") for name in sizes), ("sample_time_us", "<f4")]
        + [
            *((name, "<f4", (3,)) for name in axes),
            ("idx", idx),
            ("user_int", "<i4", (8,)),
            ("user_float", "<f4", (8,)),
        ]
    )
    floats = h5py.vlen_dtype(np.float32)
    return np.dtype([("head", head), ("traj", floats), ("data", floats)])


def write_nifti(path: Path, values: np.ndarray) -> None:
    """values: (slice, row, column) of a coronal knee, rows from foot to head → NIfTI (column, row, slice).

    Compressed; the same bytes for the same values.
    """
    import nibabel

    affine = np.array([[-PIXEL_MM, 0, 0, 0], [0, 0, SLICE_MM, 0], [0, PIXEL_MM, 0, 0], [0, 0, 0, 1.0]])
    image = nibabel.Nifti1Image(values.transpose(2, 1, 0).astype(np.float32), affine)
    path.write_bytes(gzip.compress(image.to_bytes(), 1, mtime=0))


def write_pair(folder: Path, study: KneeStudy) -> None:
    """`magnitude.nii.gz` and `phase.nii.gz` (rad)."""
    write_magnitude(folder, study)
    write_phase(folder, study)


def write_magnitude(folder: Path, study: KneeStudy) -> None:
    """`magnitude.nii.gz` alone."""
    write_nifti(folder / "magnitude.nii.gz", np.abs(study.images))


def write_phase(folder: Path, study: KneeStudy) -> None:
    """`phase.nii.gz` alone, and the sidecar that says its unit."""
    write_nifti(folder / "phase.nii.gz", np.angle(study.images))
    (folder / "phase.json").write_text(SIDECAR, encoding="utf-8")


def write_bids_pair(folder: Path, study: KneeStudy) -> None:
    """The pair under BIDS names."""
    write_nifti(folder / "sub-01_part-mag_PDw.nii.gz", np.abs(study.images))
    write_nifti(folder / "sub-01_part-phase_PDw.nii.gz", np.angle(study.images))
    (folder / "sub-01_part-phase_PDw.json").write_text(SIDECAR, encoding="utf-8")


PATTERNS: dict[str, Callable[[Path, KneeStudy], None]] = {
    "kspace": write_kspace,
    "ismrmrd": write_raw,
    "nifti": write_pair,
    "bids": write_bids_pair,
    "magnitude": write_magnitude,
    "phase": write_phase,
    "named": write_named_kspace,
}
"""Every way in which a knee study may be stored, and every modality that may be missing."""
