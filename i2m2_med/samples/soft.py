"""Soft scores: a target that several classes of a label share, such as answers by how many annotators gave them.

Few classes of each sample have any score, so they are kept sparse; a batch holds them dense.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from i2m2_med.types import SoftTarget


@dataclass(frozen=True)
class SoftScores:
    """Of every sample and label: the classes that have a score, and their scores, 0 to 1. Places that are not used score 0."""

    classes: Int[Tensor, "sample label place"]
    scores: Float[Tensor, "sample label place"]
    n_classes: int

    def take(self, rows: Tensor) -> "SoftScores":
        """Return the scores of some samples, in the order of `rows`."""
        return SoftScores(self.classes[rows], self.scores[rows], self.n_classes)

    def dense(self) -> SoftTarget:
        """Return every class's score, (sample, label, classes)."""
        empty = self.scores.new_zeros((*self.scores.shape[:2], self.n_classes))
        return empty.scatter_add_(2, self.classes, self.scores)

    def of(self, asked: Int[Tensor, "sample label some"]) -> Float[Tensor, "sample label some"]:
        """Return the scores of the classes asked for."""
        same = asked[..., None] == self.classes[:, :, None]
        return (same * self.scores[:, :, None]).sum(dim=-1)

    def shares(self) -> Float[Tensor, "label classes"]:
        """Return how much each class is the answer: scores that sum to one for each sample, summed over samples."""
        total = self.scores.sum(dim=-1, keepdim=True)
        each = torch.where(total > 0, self.scores / total.clamp_min(1e-12), self.scores)
        summed = self.scores.new_zeros((self.scores.shape[1], self.n_classes))
        for at in range(len(summed)):
            summed[at].index_add_(0, self.classes[:, at].flatten(), each[:, at].flatten())
        return summed


def read_soft(records: pl.DataFrame, labels: Sequence[str], n_classes: int) -> SoftScores | None:
    """Return the scores in the columns `soft_<label>` (lists of `class` and `score`), or None where no label has one."""
    columns = [f"soft_{name}" for name in labels]
    if not set(columns) <= set(records.columns):
        return None
    most = max(1, *(int(records[column].list.len().max() or 0) for column in columns))  # pyright: ignore[reportArgumentType]
    classes = np.zeros((len(records), len(columns), most), dtype=np.int64)
    scores = np.zeros(classes.shape, dtype=np.float32)
    for at, column in enumerate(columns):
        lengths = records[column].list.len().fill_null(0).to_numpy().astype(np.int64)
        row = np.repeat(np.arange(len(records)), lengths)
        place = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
        flat = records[column].filter(records[column].list.len() > 0).explode().struct.unnest()
        classes[row, at, place] = flat["class"].to_numpy()
        scores[row, at, place] = flat["score"].to_numpy()
    return SoftScores(torch.from_numpy(classes), torch.from_numpy(scores), n_classes)
