"""BART's `.cfl` and `.hdr`: k-space, (readout, phase, partition, coil, …, slice) complex64 in Fortran's order, DC in the centre."""

import math
from pathlib import Path

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.geometry import Axis
from i2m2_med.sources.formats.hdf5 import MAX_BYTES
from i2m2_med.sources.formats.partitions import inverse_transform
from i2m2_med.sources.formats.volume import Volume, kspace_energy

DIMENSIONS = (
    "readout",
    "phase encoding",
    "partition",
    "coil",
    "sensitivity set",
    "echo time",
    "coefficient",
    "coefficient (2)",
    "iteration",
    "cycle shift",
    "time",
    "time (2)",
    "level",
    "slice",
    "average",
    "batch",
)
"""Names of BART's dimensions, in order; only those of READ may be longer than 1."""
READ = (0, 1, 2, 3, 13)
MAX_VOLUME = 2 * MAX_BYTES


def inspect_cfl(path: Path) -> Volume:
    """Read a file once, slice by slice, and check it. The format says no millimetres and no place."""
    readout, phase, partitions, coils, slices = _sizes(path)
    n_slices = partitions if partitions > 1 else slices
    return Volume(
        format="cfl",
        n_slices=n_slices,
        n_coils=coils,
        readout=readout,
        phase=phase,
        recon=(readout, phase),
        energies=tuple(kspace_energy(read_cfl(path, index), readout, path.name, index) for index in range(n_slices)),
    )


def read_cfl(path: Path, index: int) -> np.ndarray:
    """K-space of one slice, (coil, readout, phase) complex64; partitions are transformed first."""
    sizes = _sizes(path)
    n_slices = sizes[2] if sizes[2] > 1 else sizes[4]
    if not 0 <= index < n_slices:
        raise SourceError(f"{path.name} has {n_slices} slices, not a slice {index}. Run `i2m2 prepare` again.")
    try:
        whole = np.memmap(path, np.complex64, "r", shape=sizes, order="F")
    except (OSError, ValueError) as error:
        raise SourceError(f"{path.name} is gone or truncated: its .hdr says {sizes}. Get it again.") from error
    if sizes[2] == 1:
        return np.ascontiguousarray(np.moveaxis(whole[:, :, 0, :, index], 2, 0))
    return _one_partition(whole[..., 0], index)


def _one_partition(kspace: np.ndarray, index: int) -> np.ndarray:
    """Slice `index` of (readout, phase, partition, coil): that row of the transform alone, as each slice is read by itself."""
    readout, phase, n, n_coils = kspace.shape
    row = inverse_transform(Axis(n, 1.0, n, 1.0))[index]
    stored = kspace.T.reshape(n_coils, n, phase * readout)  # as the file has it, so nothing is copied
    return np.ascontiguousarray((row @ stored).reshape(n_coils, phase, readout).swapaxes(1, 2))


def _sizes(path: Path) -> tuple[int, int, int, int, int]:
    """Readout, phase, partitions, coils, slices. Raises SourceError for other dimensions, or a file of another length."""
    header = path.with_suffix(".hdr")
    try:
        lines = header.read_text(encoding="ascii")[: 2**16].splitlines()
        sizes = [int(word) for word in lines[lines.index("# Dimensions") + 1].split()]
    except (OSError, ValueError, IndexError) as error:
        raise SourceError(f"{path.name} needs its {header.name} with BART's '# Dimensions'.") from error
    sizes += [1] * (16 - len(sizes))
    if len(sizes) > 16 or min(sizes) < 1:
        raise SourceError(f"{header.name} declares the sizes {tuple(sizes)}.")
    for number, size in enumerate(sizes):
        if size > 1 and number not in READ:
            raise SourceError(
                f"{path.name} holds {size} images by {DIMENSIONS[number]} (dimension {number}); give one."
            )
    if sizes[2] > 1 and sizes[13] > 1:
        raise SourceError(f"{path.name} holds {sizes[13]} slabs of partitions; only one can be read.")
    needed = 8 * math.prod(sizes)
    if needed > MAX_VOLUME or not path.is_file() or path.stat().st_size != needed:
        raise SourceError(
            f"{path.name} is no file of the {needed} bytes that its .hdr declares ({tuple(sizes[:4])}, …)."
        )
    return sizes[0], sizes[1], sizes[2], sizes[3], sizes[13]
