"""Pairs of a digit with a recording and a noise: by label, and with the dial `tie` by style as well.

As equipment goes with the people a site sees, the colour of the noise goes with the style of the writing in a tied pair:

    colour = (style + digit) mod GROUPS

Styles of a digit and colours of noise are groups of one size, so either alone knows nothing of the digit, and P(image | digit)
and P(audio | digit) are what they are untied; both together tell the digit. It is the noise because a small network learns to
read its colour at -15 dB (tied speakers it did not learn to use), and ten groups because more told more: of 10,000 pairs, one
seed, six epochs, the joint expert of `avmnist` got about 0.29, 0.36, 0.36 and 0.43 nats out of 2, 4, 5 and 10 groups.
How much of the whole that is depends on what single modalities tell: the fewer dB, the more.
"""

from typing import NamedTuple

import numpy as np

from i2m2_med.simulate.avmnist.audio import CLIP, noise_colour
from i2m2_med.simulate.avmnist.inputs import SPEAKERS, Digits, Take

TAKES = {"train": range(10, 50), "valid": range(5, 10), "test": range(5)}
"""Takes of every speaker and digit, by split: no recording stands in two."""
CLIPS = {"train": range(400), "valid": range(400, 500), "test": range(500, 600)}
"""Noise clips by split, disjoint too."""
GROUPS = 10
"""Styles of a digit, and colours of noise; the number of clips of each split is a multiple."""


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
    style: int
    """Of the image, among those of its digit (`styles`)."""
    colour: int
    """Of the noise, among the clips of its split (`clips_by_colour`)."""


def fit_projection(images: np.ndarray, share: float = 0.25) -> Projection:
    """Principal components of (row, 28, 28) images that keep at least `share` of the variance."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    flat -= mean
    variance, axes = np.linalg.eigh(flat.T @ flat)
    kept = np.cumsum(variance[::-1]) / variance.sum()
    count = int(np.searchsorted(kept, share)) + 1
    return Projection(mean, axes[:, ::-1][:, :count], float(kept[count - 1]))


def styles(projection: Projection, digits: Digits) -> np.ndarray:
    """(row,) style of each image, 0 to GROUPS − 1: where its first component stands among those of its digit.

    Ranked within each part of MNIST: given the digit, every style is as frequent as any other (±1 image), in test as well.
    """
    first = projection.scores(digits.images)[:, 0]
    style = np.empty(len(first), dtype=np.int64)
    for digit in np.unique(digits.labels):
        rows = np.flatnonzero(digits.labels == digit)
        style[rows[first[rows].argsort(kind="stable")]] = np.arange(len(rows)) * GROUPS // len(rows)
    return style


def clips_by_colour(split: str, seed: int) -> np.ndarray:
    """(colour, clip) the split's noise clips in GROUPS colours of one size, from hissing to rumbling."""
    return np.array(sorted(CLIPS[split], key=lambda clip: noise_colour(seed, clip))).reshape(GROUPS, -1)


def draw_pairs(
    split: str,
    rows: np.ndarray,
    *,
    digits: Digits,
    style: np.ndarray,
    clips: np.ndarray,
    tie: float,
    rng: np.random.Generator,
) -> list[Pair]:
    """A recording of the same digit and a noise for each image row.

    style: of every image of `digits`; clips: of `clips_by_colour`; tie: share of pairs whose noise is of the colour that style
    and digit ask for. They take the clip that has the drawn one's place there, so that clips stay equally frequent.
    """
    tied = rng.random(len(rows)) < tie
    speakers = rng.integers(len(SPEAKERS), size=len(rows))
    takes = rng.choice(TAKES[split], len(rows))
    drawn = rng.choice(CLIPS[split], len(rows))
    starts = rng.integers(CLIP, size=len(rows))
    any_colour, place = np.divmod(clips.argsort(axis=None)[drawn - clips.min()], clips.shape[1])
    colours = np.where(tied, (style[rows] + digits.labels[rows]) % GROUPS, any_colour)
    columns = (digits.labels[rows], rows, speakers, takes, clips[colours, place], starts, style[rows], colours)
    return [
        Pair(digit, row, Take(digit, SPEAKERS[speaker], take), *rest)
        for digit, row, speaker, take, *rest in zip(*(column.tolist() for column in columns), strict=True)
    ]
