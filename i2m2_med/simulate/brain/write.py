"""A fastMRI brain data set with fastMRI+ annotations whose dependencies are known: `i2m2 simulate brain OUT`.

OUT/multicoil/file_brain_AXT1_202_6000001.h5 …  (singlecoil/ with one coil) nothing else in the folder
OUT/brain.csv, brain_file_list.csv  fastMRI+ annotations, of slices and of whole studies; some volumes were never reviewed
OUT/truth.parquet, ideal.json       class and latents of every slice; AUROC of an ideal observer, computed

Acquisitions and findings are drawn apart from each other. In the real data they are not: readers marked white-matter lesions
on FLAIR images, so the acquisition alone tells much of that label.
"""

from pathlib import Path
from typing import Any

from i2m2_med.simulate.brain.anatomy import BRAIN
from i2m2_med.simulate.fastmri.data_set import planned, write_data_set


def simulate(
    out: Path,
    *,
    volumes: int = 8,
    slices: int = 16,
    matrix: str = "640x320",
    coils: int = 16,
    seed: int = 0,
    magnitude: float = 1.0,
    phase: float = 1.0,
    between: float = 0.0,
    prevalence: float = 0.4,
) -> dict[str, Any]:
    """Write a synthetic brain data set in the format of fastMRI and fastMRI+.

    Args:
        out: folder to make; it must not hold anything yet.
        volumes: number of HDF5 files; some patients have two.
        slices: slices per volume.
        matrix: READOUTxPHASE of the k-space; the readout is oversampled twice, so images are READOUT/2 square.
        coils: receiver coils; fastMRI's brains have up to 20, and none has one.
        seed: same seed, same bytes.
        magnitude: strength (0 to 1) of evidence in the magnitude image alone.
        phase: strength (0 to 1) of evidence in the phase image alone.
        between: strength (0 to 1) of evidence that only the two together give.
        prevalence: share of slices that have each finding, of volumes that have each finding of a whole study.

    Raises ConfigError for a number that can't be, and UserError when `out` holds something already.
    """
    dials = {"magnitude": magnitude, "phase": phase, "between": between}
    plan = planned(
        volumes=volumes, slices=slices, matrix=matrix, coils=coils, seed=seed, dials=dials, prevalence=prevalence
    )
    return write_data_set(out, BRAIN, plan)
