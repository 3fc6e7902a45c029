"""A fastMRI knee data set with fastMRI+ annotations whose dependencies are known: `i2m2 simulate knee OUT`.

OUT/singlecoil/file1000001.h5 …   (multicoil/ with more coils) nothing else in the folder, so fastmri.SliceDataset reads it
OUT/knee.csv, knee_file_list.csv  fastMRI+ annotations; some volumes were never reviewed
OUT/truth.parquet, ideal.json     class and latents of every slice; AUROC of an ideal observer, computed
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.config.run import IDEAL
from i2m2_med.console import TerminalProgress
from i2m2_med.errors import ConfigError
from i2m2_med.files import replace_folder, write_json
from i2m2_med.simulate.knee import acquisition, anatomy, files
from i2m2_med.simulate.knee import dials as evidence
from i2m2_med.simulate.knee.dials import KneeDials

FIRST_FILE = 1000001
UNREVIEWED_EVERY = 8
VOLUMES_OF_PATIENTS = (2, 1, 1, 1)
"""Every fourth patient was examined twice."""
SMALLEST, LARGEST = 32, 2048


def simulate(
    out: Path,
    *,
    volumes: int = 8,
    slices: int = 6,
    matrix: str = "640x368",
    coils: int = 1,
    seed: int = 0,
    magnitude: float = 1.0,
    phase: float = 1.0,
    between: float = 0.0,
    prevalence: float = 0.4,
) -> dict[str, Any]:
    """Write a synthetic knee data set in the format of fastMRI and fastMRI+.

    Args:
        out: folder to make; it must not hold anything yet.
        volumes: number of HDF5 files; some patients have two.
        slices: slices per volume.
        matrix: READOUTxPHASE of the k-space; the readout is oversampled twice, so images are READOUT/2 square.
        coils: receiver coils; 1 writes single-coil files.
        seed: same seed, same bytes.
        magnitude: strength (0 to 1) of evidence in the magnitude image alone.
        phase: strength (0 to 1) of evidence in the phase image alone.
        between: strength (0 to 1) of evidence that only the two together give.
        prevalence: share of slices that have each finding.

    Raises ConfigError for a number that can't be, and UserError when `out` holds something already.
    """
    dials = KneeDials(
        *(_share(name, value) for name, value in (("magnitude", magnitude), ("phase", phase), ("between", between)))
    )
    for name, count in (("volumes", volumes), ("slices", slices), ("coils", coils)):
        if count < 1:
            raise ConfigError(f"--{name} is {count}; give 1 or more")
    if seed < 0:
        raise ConfigError(f"--seed is {seed}; give 0 or more")
    if not 0 < prevalence < 1:
        raise ConfigError(f"--prevalence is {prevalence:g}; give a share between 0 and 1")
    rows, columns = matrix_size(matrix)
    with replace_folder(out) as folder:
        positive = _write(
            folder,
            volumes=volumes,
            slices=slices,
            rows=rows,
            columns=columns,
            coils=coils,
            seed=seed,
            dials=dials,
            prevalence=prevalence,
        )
    return {
        "folder": str(out),
        "synthetic": True,
        "volumes": volumes,
        "slices": volumes * slices,
        "positive_slices": positive,
        "truth": str(out / "truth.parquet"),
        "ideal": str(out / IDEAL),
    }


def _write(
    folder: Path,
    *,
    volumes: int,
    slices: int,
    rows: int,
    columns: int,
    coils: int,
    seed: int,
    dials: KneeDials,
    prevalence: float,
) -> dict[str, int]:
    """Fill `folder`; returns the number of positive slices by label."""
    from i2m2_med.simulate.knee import ideal  # takes scipy.stats along, a second and more

    geometry = anatomy.Geometry(rows, columns)
    maps = acquisition.sensitivities(geometry, coils)
    classes = evidence.draw_classes(volumes, slices, prevalence, seed)
    patients = _patients(volumes, seed)
    data = folder / ("singlecoil" if coils == 1 else "multicoil")
    data.mkdir()
    made: list[files.SimulatedVolume] = []
    for number in TerminalProgress().track(range(volumes), "simulating knees", volumes):
        rng = np.random.default_rng([seed, 0, number])
        latents = evidence.draw_latents(classes[number], dials, rng)
        knee = acquisition.draw_knee(geometry, 0.95 + 0.1 * int(patients[number][:4], 16) / 0xFFFF, rng)
        reviewed = number % UNREVIEWED_EVERY != UNREVIEWED_EVERY - 1
        volume = files.SimulatedVolume(f"file{FIRST_FILE + number}", patients[number], knee, latents, reviewed)
        kspace = acquisition.acquire(knee, latents, maps, rng)
        files.write_volume(data / f"{volume.name}.h5", volume, kspace, coils)
        made.append(volume)
    files.write_annotations(folder, made, np.random.default_rng([seed, 3]))
    files.write_truth(folder / "truth.parquet", made)
    noise = ideal.patch_noise(geometry, maps, seed)
    write_json(folder / IDEAL, ideal.report(noise, dials, [volume.latents for volume in made]))
    return {label: int(classes[..., number].sum()) for number, label in enumerate(evidence.LABELS)}


def _patients(volumes: int, seed: int) -> list[str]:
    """A `patient_id` (64 hexadecimal digits, as in fastMRI) for every volume; some patients have two."""
    ids: list[str] = []
    while len(ids) < volumes:
        patient = len(set(ids))
        name = hashlib.sha256(f"simulated knee {seed} {patient}".encode()).hexdigest()
        ids += [name] * VOLUMES_OF_PATIENTS[patient % len(VOLUMES_OF_PATIENTS)]
    return ids[:volumes]


def matrix_size(matrix: str) -> tuple[int, int]:
    """READOUTxPHASE as two numbers."""
    readout, _, phase = matrix.lower().partition("x")
    if not (readout.isdecimal() and phase.isdecimal()):
        raise ConfigError(f"--matrix is {matrix!r}; give READOUTxPHASE, such as 640x368 or 128x96")
    rows, columns = int(readout), int(phase)
    if not (SMALLEST <= rows <= LARGEST and rows // 2 <= columns <= LARGEST):
        raise ConfigError(
            f"--matrix is {matrix!r}; the readout must be {SMALLEST} to {LARGEST}, the phase at least half of it and at most "
            f"{LARGEST} (the image is READOUT/2 square)"
        )
    return rows, columns


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ConfigError(f"--{name} is {value:g}; a dial goes from 0 to 1")
    return value
