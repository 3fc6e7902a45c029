"""Signals in array files → (channel, time) of one length."""

from pathlib import Path

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.damaged import blamed_on
from i2m2_med.sources.table.image_files import HDF5, array_file, dataset
from i2m2_med.sources.table.paths import DATASET
from i2m2_med.sources.table.settings import Signal


def read_signal(cell: str | None, settings: Signal) -> np.ndarray:
    """(channel, length) float32: the first samples, zeros behind a shorter one; NaN where there is none. Raises SourceError."""
    channels = settings.channels or 1
    if cell is None:
        return np.full((channels, settings.length), np.nan, np.float32)
    path = Path(cell.partition(DATASET)[0])
    array = stored_signal(cell, path)
    if len(array) != channels:
        raise SourceError(f"{path.name} has {len(array)} channels; {channels} are needed, as (channel, time)")
    kept = np.asarray(array[:, : settings.length], np.float32)
    if not np.isfinite(kept).all():
        raise SourceError(f"{path.name} holds values that are no numbers (NaN or infinite)")
    return np.pad(kept, ((0, 0), (0, settings.length - kept.shape[1])))


def stored_signal(cell: str, path: Path) -> np.ndarray:
    """(channel, time) as the file has it. Raises SourceError for another number of axes."""
    with blamed_on(path.name):
        name = path.name.lower()
        if not name.endswith((*HDF5, ".npy", ".npz")):
            raise SourceError(f"{path.name} is no signal; npy, npz and file.h5{DATASET}name are read")
        array = dataset(cell, path, pixels=True) if name.endswith(HDF5) else array_file(path)
    if array.ndim not in {1, 2} or not array.size:
        raise SourceError(f"{path.name} is of shape {array.shape}; (channel, time) or (time,) is needed")
    return array[None] if array.ndim == 1 else array
