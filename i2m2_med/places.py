"""Rows of a prediction table whose classes differ by sample (`log_rest`), as arrays with a place for each row.

Axis legend: place = the row's number among those of its sample and label, in the order of classes. Places that are not used
have a probability of 0 and a class of −1.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int


class Places(NamedTuple):
    """Where each row of a table goes."""

    order: Int[np.ndarray, "row"]
    """Rows of the table in the order of sample, label, class."""
    cell: Int[np.ndarray, "row"]
    """Sample · labels + label of each, ascending."""
    place: Int[np.ndarray, "row"]
    shape: tuple[int, int, int]

    def dense(self, column: "pd.Series[Any]", empty: float = 0.0) -> Float[np.ndarray, "sample label place"]:
        """Return a numeric column as an array; `empty` where no row is."""
        values = np.full((self.shape[0] * self.shape[1], self.shape[2]), empty)
        values[self.cell, self.place] = column.to_numpy(dtype=np.float64, na_value=np.nan)[self.order]
        return values.reshape(self.shape)

    def first(self) -> Int[np.ndarray, "sample label"]:
        """Return the table's first row of each sample and label."""
        return self.order[self.place == 0].reshape(self.shape[:2])

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return values by (sample, label) or (sample, label, place) as a column in the table's own order."""
        flat = values.reshape(self.shape[0] * self.shape[1], -1)
        column = np.empty(len(self.order), dtype=values.dtype)
        column[self.order] = flat[self.cell, self.place if flat.shape[1] > 1 else 0]
        return column


def places_of(sample: Int[np.ndarray, "row"], label: Int[np.ndarray, "row"], cls: Int[np.ndarray, "row"]) -> Places:
    """Return the places of a table's rows by the numbers of their sample and label, and their class."""
    labels = int(label.max()) + 1
    cells = sample * labels + label
    order = np.lexsort((cls, cells))
    cell = cells[order]
    starts = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]]))
    lengths = np.diff(np.append(starts, len(cell)))
    place = np.arange(len(cell)) - np.repeat(starts, lengths)
    return Places(order, cell, place, (int(sample.max()) + 1, labels, int(lengths.max())))


def true_place(
    classes: Int[np.ndarray, "sample label place"], target: Int[np.ndarray, "sample label"]
) -> Int[np.ndarray, "sample label"]:
    """Return the place of each sample's target; a negative target (unknown, or none of the classes) stays as it is.

    A target without a row would be −1; a table that holds its targets has none.
    """
    same = classes == target[:, :, None]
    return np.where(target < 0, target, np.where(same.any(axis=2), same.argmax(axis=2), -1))
