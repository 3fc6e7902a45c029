"""A fastMRI knee data set with fastMRI+ annotations whose dependencies are known: `i2m2 simulate knee OUT`.

OUT/singlecoil/file1000001.h5 …   (multicoil/ with more coils) nothing else in the folder, so fastmri.SliceDataset reads it
OUT/knee.csv, knee_file_list.csv  fastMRI+ annotations; some volumes were never reviewed
OUT/clinical.csv                  age, body mass index and sex of each patient, which say nothing
OUT/truth.parquet, ideal.json     class and latents of every slice; AUROC of an ideal observer, computed
"""

from pathlib import Path
from typing import Any

from i2m2_med.simulate.fastmri.data_set import planned, write_data_set
from i2m2_med.simulate.knee.anatomy import KNEE


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
    dials = {"magnitude": magnitude, "phase": phase, "between": between}
    plan = planned(
        volumes=volumes, slices=slices, matrix=matrix, coils=coils, seed=seed, dials=dials, prevalence=prevalence
    )
    return write_data_set(out, KNEE, plan)
