"""Where the slices of ISMRMRD raw data lie: position and directions of the readouts → order of slices and affine."""

from dataclasses import dataclass

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.geometry import Axis
from i2m2_med.sources.formats.orientation import Storage, affine_of_slices, storage


@dataclass(frozen=True)
class Place:
    """How slices are shown."""

    slices: tuple[int, ...]
    """Values of the slice counter in the order in which they are shown."""
    storage: Storage
    spacing_mm: float


def slices_in_place(
    heads: np.ndarray, axes: tuple[Axis, Axis], partitions: Axis | None, thickness_mm: float, name: str
) -> Place:
    """Order and affine. heads: acquisition headers of the image; without directions slices stay as counted, without an affine.

    Raises SourceError where slices are tilted against each other, where one is missing, or where they lie unevenly.
    """
    counted, first = np.unique(heads["idx"]["slice"], return_index=True)
    if len(counted) <= int(counted[-1]):
        lost = int(np.setdiff1d(np.arange(int(counted[-1])), counted)[0])
        raise SourceError(f"{name} holds no readout of slice {lost}.")
    as_counted = Place(tuple(counted.tolist()), Storage(), thickness_mm)
    directions = _directions(heads[first], name)
    if directions is None:
        return as_counted
    positions = heads["position"][first].astype(float)
    order = np.argsort(positions @ np.cross(*directions), kind="stable")
    if len(positions) > 1 and np.ptp(positions, axis=0).max() < 1e-3:  # the writer did not say where slices lie
        return as_counted
    given = heads["slice_dir"][first[0]].astype(float)
    placed = _partition_places(positions[0], partitions, directions, given) if partitions else positions[order]
    spacing, centre = (axes[0].recon_mm, axes[1].recon_mm), (axes[0].centre, axes[1].centre)
    affine = affine_of_slices(placed, directions, spacing, centre, thickness_mm, name)
    turn = storage(affine, (axes[0].shown, axes[1].shown, len(placed)), 2, name)
    shown = counted[order[::-1] if turn.reverse else order]
    return Place(tuple(shown.tolist()), turn, float(np.linalg.norm(affine[:3, 2])))


def _directions(heads: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Where readout and phase go, the same in every slice (one header each); None where the file does not say."""
    directions = heads["read_dir"].astype(float), heads["phase_dir"].astype(float)
    if not all(np.isfinite(vectors).all() for vectors in (*directions, heads["position"])):
        raise SourceError(f"{name}: positions or directions of its readouts are no numbers.")
    if not all(vectors.any() for vectors in directions):
        return None
    if any(np.abs(vectors - vectors[0]).max() > 1e-3 for vectors in directions):
        raise SourceError(f"{name}: its slices are tilted against each other; only parallel ones can be read.")
    return directions[0][0], directions[1][0]


def _partition_places(
    middle: np.ndarray, partitions: Axis, directions: tuple[np.ndarray, np.ndarray], given: np.ndarray
) -> np.ndarray:
    """Where the slices of a slab lie, (slice, 3) mm: along `slice_dir` as given, else right-handed."""
    normal = given if given.any() else np.cross(*directions)
    first = partitions.first_position * partitions.pixel_mm
    return middle + (first + np.arange(partitions.shown) * partitions.recon_mm)[:, None] * normal
