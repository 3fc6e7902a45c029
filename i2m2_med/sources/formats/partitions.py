"""The third axis of k-space: partitions → slices, by the centred, orthonormal transform, cropped or sampled by millimetres."""

import numpy as np
from jaxtyping import Complex

from i2m2_med.sources.formats.geometry import Axis

CELLS = 2**22
"""Numbers that are transformed at once."""


def transform_partitions(
    kspace: Complex[np.ndarray, "partition coil readout phase"], axis: Axis
) -> Complex[np.ndarray, "slice coil readout phase"]:
    """The reconstruction's slices; `kspace` is overwritten where they fit into it."""
    matrix = inverse_transform(axis)
    flat = kspace.reshape(axis.samples, -1)
    fits = axis.shown <= axis.samples
    made = flat if fits else np.empty((axis.shown, flat.shape[1]), np.complex64)
    width = max(1, CELLS // axis.samples)
    for start in range(0, flat.shape[1], width):
        piece = slice(start, start + width)
        made[: axis.shown, piece] = matrix @ flat[:, piece]
    return made[: axis.shown].reshape(axis.shown, *kspace.shape[1:])


def inverse_transform(axis: Axis) -> Complex[np.ndarray, "slice partition"]:
    """Rows of the centred inverse DFT at the reconstruction's slices; zero outside the measured slab."""
    n, step = axis.samples, axis.step
    frequency = np.arange(n) - n // 2
    place = axis.first_position + np.arange(axis.shown) * step
    inside = (place >= -(n // 2) - 0.5) & (place < n - n // 2 - 0.5)
    return (inside[:, None] * np.exp(2j * np.pi / n * np.outer(place, frequency)) / np.sqrt(n)).astype(np.complex64)
