"""Which digit goes with which recording and which noise: by label, and with the dial `tie` by style as well."""

from typing import NamedTuple

import numpy as np

from i2m2_med.simulate.avmnist_audio import CLIP
from i2m2_med.simulate.avmnist_inputs import SPEAKERS, Digits, Take

TAKES = {"train": range(10, 50), "valid": range(5, 10), "test": range(5)}
"""Takes of every speaker and digit, by split: no recording stands in two."""
CLIPS = {"train": range(400), "valid": range(400, 500), "test": range(500, 600)}
"""Noise clips by split, disjoint too."""


class Projection(NamedTuple):
    """The fewest principal components of the training images that keep a share of their variance."""

    mean: np.ndarray
    """(784,) grey value."""
    axes: np.ndarray
    """(784, component), the strongest first."""
    kept: float
    """Share of the variance."""

    def scores(self, images: np.ndarray) -> np.ndarray:
        """(row, 28, 28) → (row, component)."""
        return (images.reshape(len(images), -1) - self.mean) @ self.axes

    def image(self, images: np.ndarray) -> np.ndarray:
        """(row, 28, 28) uint8 → what the components show of it, without the mean, float32 in grey values."""
        shown = self.scores(images) @ self.axes.T
        return shown.round(2).astype(np.float32).reshape(-1, 28, 28)  # rounded: the same bytes with any BLAS


class Pair(NamedTuple):
    """One sample of the simulated set."""

    digit: int
    image: int
    """Row of MNIST's training (train, valid) or test part."""
    take: Take
    clip: int
    start: int
    """First sample of the noise clip."""


def fit_projection(images: np.ndarray, share: float = 0.25) -> Projection:
    """Principal components of (row, 28, 28) images that keep at least `share` of the variance."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    flat -= mean
    variance, axes = np.linalg.eigh(flat.T @ flat)
    kept = np.cumsum(variance[::-1]) / variance.sum()
    count = int(np.searchsorted(kept, share)) + 1
    return Projection(mean, axes[:, ::-1][:, :count], float(kept[count - 1]))


def style_borders(projection: Projection, digits: Digits) -> np.ndarray:
    """(digit, speaker − 1): the first component's values that divide each digit's images into as many styles as speakers."""
    first = projection.scores(digits.images)[:, 0]
    shares = np.linspace(0, 1, len(SPEAKERS) + 1)[1:-1]
    return np.stack([np.quantile(first[digits.labels == digit], shares) for digit in range(10)])


def styles(projection: Projection, borders: np.ndarray, digits: Digits) -> np.ndarray:
    """(row,) style of each image among those of its digit: 0 to 5."""
    first = projection.scores(digits.images)[:, 0]
    return (first[:, None] > borders[digits.labels]).sum(axis=1)


def draw_pairs(
    split: str, rows: np.ndarray, digits: Digits, style: np.ndarray, tie: float, rng: np.random.Generator
) -> list[Pair]:
    """A recording of the same digit and a noise for each image row.

    tie: share of pairs whose speaker is the image's style plus the digit, modulo six: given the digit, style and speaker
    then depend on each other, differently for each digit, so that only who reads both profits. 0: any speaker.
    """
    tied = rng.random(len(rows)) < tie
    anyone = rng.integers(len(SPEAKERS), size=len(rows))
    speakers = np.where(tied, (style[rows] + digits.labels[rows]) % len(SPEAKERS), anyone)
    takes = rng.choice(TAKES[split], len(rows))
    clips = rng.choice(CLIPS[split], len(rows))
    starts = rng.integers(CLIP, size=len(rows))
    return [
        Pair(digit, row, Take(digit, SPEAKERS[speaker], take), clip, start)
        for digit, row, speaker, take, clip, start in zip(
            *(part.tolist() for part in (digits.labels[rows], rows, speakers, takes, clips, starts)), strict=True
        )
    ]
