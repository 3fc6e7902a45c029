"""A whole simulated data set of one anatomy: volumes, annotations, truth and the ideal observer's report."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i2m2_med.config.run import IDEAL
from i2m2_med.console import TerminalProgress
from i2m2_med.errors import ConfigError
from i2m2_med.files import replace_folder, write_json
from i2m2_med.simulate.fastmri import acquisition, files
from i2m2_med.simulate.fastmri import dials as evidence
from i2m2_med.simulate.fastmri.anatomy import Anatomy, Geometry
from i2m2_med.simulate.fastmri.dials import Dials

UNREVIEWED_EVERY = 8
VOLUMES_OF_PATIENTS = (2, 1, 1, 1)
"""Every fourth patient was examined twice."""
SMALLEST, LARGEST = 32, 2048


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Sizes, dials and seed of a data set."""

    volumes: int
    slices: int
    geometry: Geometry
    coils: int
    seed: int
    dials: Dials
    prevalence: float


def planned(
    *, volumes: int, slices: int, matrix: str, coils: int, seed: int, dials: dict[str, float], prevalence: float
) -> Plan:
    """The plan that a simulator's arguments stand for. Raises ConfigError for a number that can't be."""
    shares = {name: _share(name, value) for name, value in dials.items()}
    for name, count in (("volumes", volumes), ("slices", slices), ("coils", coils)):
        if count < 1:
            raise ConfigError(f"--{name} is {count}; give 1 or more")
    if seed < 0:
        raise ConfigError(f"--seed is {seed}; give 0 or more")
    if not 0 < prevalence < 1:
        raise ConfigError(f"--prevalence is {prevalence:g}; give a share between 0 and 1")
    return Plan(
        volumes=volumes,
        slices=slices,
        geometry=Geometry(*matrix_size(matrix)),
        coils=coils,
        seed=seed,
        dials=Dials(**shares),
        prevalence=prevalence,
    )


def write_data_set(out: Path, anatomy: Anatomy, plan: Plan) -> dict[str, object]:
    """Make the folder `out`; returns what a simulator answers. Raises UserError when `out` holds something already."""
    with replace_folder(out) as folder:
        positive = _write(folder, anatomy, plan)
    return {
        "folder": str(out),
        "synthetic": True,
        "volumes": plan.volumes,
        "slices": plan.volumes * plan.slices,
        "positive_slices": positive,
        "truth": str(out / "truth.parquet"),
        "ideal": str(out / IDEAL),
    }


def _write(folder: Path, anatomy: Anatomy, plan: Plan) -> dict[str, int]:
    """Fill `folder`; returns the number of positive slices by label."""
    from i2m2_med.simulate.fastmri import ideal  # takes scipy.stats along, a second and more

    maps = acquisition.sensitivities(plan.geometry, plan.coils)
    classes = evidence.draw_classes(anatomy, plan.volumes, plan.slices, plan.prevalence, plan.seed)
    patients = _patients(anatomy, plan)
    data = folder / ("singlecoil" if plan.coils == 1 else "multicoil")
    data.mkdir()
    made: list[files.SimulatedVolume] = []
    for number in TerminalProgress().track(range(plan.volumes), f"simulating {anatomy.name}s", plan.volumes):
        rng = np.random.default_rng([plan.seed, 0, number])
        latents = evidence.draw_latents(classes[number], plan.dials, rng)
        scale = 0.95 + 0.1 * int(patients[number][:4], 16) / 0xFFFF
        examination = acquisition.draw_examination(anatomy, plan.geometry, scale, rng)
        looked_at = number % UNREVIEWED_EVERY != UNREVIEWED_EVERY - 1
        reviewed = looked_at and examination.acquisition not in anatomy.unreviewed
        name = anatomy.file_name(number, examination.acquisition)
        volume = files.SimulatedVolume(name, patients[number], examination, latents, reviewed)
        kspace = acquisition.acquire(examination, latents, maps, rng)
        files.write_volume(data / f"{volume.name}.h5", volume, kspace, plan.coils)
        made.append(volume)
    files.write_annotations(folder, anatomy, made, np.random.default_rng([plan.seed, 3]))
    files.write_truth(folder / "truth.parquet", made)
    files.write_clinical(folder / "clinical.csv", sorted(set(patients)), plan.seed)
    noise = ideal.patch_noise(anatomy, plan.geometry, maps, plan.seed)
    write_json(folder / IDEAL, ideal.report(anatomy, noise, plan.dials, [volume.latents for volume in made]))
    return {label: int(classes[..., number].sum()) for number, label in enumerate(anatomy.labels)}


def _patients(anatomy: Anatomy, plan: Plan) -> list[str]:
    """A `patient_id` (64 hexadecimal digits, as in fastMRI) for every volume; some patients have two."""
    ids: list[str] = []
    while len(ids) < plan.volumes:
        patient = len(set(ids))
        name = hashlib.sha256(f"simulated {anatomy.name} {plan.seed} {patient}".encode()).hexdigest()
        ids += [name] * VOLUMES_OF_PATIENTS[patient % len(VOLUMES_OF_PATIENTS)]
    return ids[: plan.volumes]


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
