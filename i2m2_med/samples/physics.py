"""Between k-space and image: the centred, orthonormal inverse Fourier transform, computed only where the image is kept.

Axes: readout = image rows (height), phase = image columns (width); DC sits at index n // 2 of either domain, as in
fastMRI. Cropping to n keeps the rows from (N − n) // 2 on, as `fastmri.data.transforms.center_crop` does.

With positions counted from the centre (c = N // 2, p = index − c) the transform x[p] = N^-½ Σ_q K[q] e^{2πi q p / N} is the
plain inverse FFT of an array that holds position q at index q mod N. So no array is shifted: the readout, which comes as it
is, takes one ramp of phase, x[p] = ifft_N(K)[p mod N] · e^{−2πi c p / N}; the crop of its rows, which is a copy anyway, puts
the columns where the second transform wants them. Each transform writes along what the other reads.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Complex, Float, Shaped
from torch import Tensor

from i2m2_med.errors import SourceError

SAME_GRID = (1.0, 1.0)
"""Image pixels are those of the transform."""
AS_STORED = (False, False, False)
"""An image is shown as it was reconstructed."""
PUBLISHED_WIDTH = 400
"""Columns that the published code zero-fills k-space to before it transforms."""


def centred_ifft(
    kspace: Complex[Tensor, "*coil readout phase"],
    height: int,
    width: int,
    zero_fill: int = 0,
    step: tuple[float, float] = SAME_GRID,
) -> Complex[Tensor, "*coil height width"]:
    """The centre (height, width) of the centred inverse FFT; a smaller image is put in the middle of zeros.

    zero_fill: columns that k-space is zero-filled to about its centre (published: 400). The transform is separable: the
    readout goes first and is cropped, so the second pass (and every later copy) works on `height` rows, not on all.
    step: a pixel of the result in pixels of k-space's image, along rows and columns; other than 1 the image is sampled
    there (`sampled_ifft`), and nothing is zero-filled.
    """
    if step != SAME_GRID:
        return sampled_ifft(kspace, height, width, step)
    n_rows, measured = kspace.shape[-2], kspace.shape[-1]
    n_columns = max(measured, zero_fill)
    kept = min(height, n_rows), min(width, n_columns)
    spectrum = torch.fft.ifft(kspace, dim=-2, norm="ortho").mT
    half = _kept_rows(spectrum, kept[0], n_columns)
    columns = torch.fft.ifft(half, dim=-2, norm="ortho").mT
    image = torch.cat([columns[..., place] for _, place in _round(n_columns, kept[1])], dim=-1)
    return fit_centre(fit_centre(image, height, -2), width, -1)


def sampled_ifft(
    kspace: Complex[Tensor, "*coil readout phase"], height: int, width: int, step: tuple[float, float]
) -> Complex[Tensor, "*coil height width"]:
    """The image of k-space sampled at other pixels, its centre in the centre: as zero-filling and cropping to millimetres.

    Values are those of the orthonormal transform of the k-space at hand. Outside the measured field of view there is
    nothing (the transform would repeat itself).
    """
    (n_rows, n_columns), (down, across) = kspace.shape[-2:], step
    rows = fourier_columns(n_rows, height, n_rows, down) * _measured(n_rows, height, down)[:, None]
    columns = fourier_columns(n_columns, width, n_columns, across) * _measured(n_columns, width, across)[:, None]
    rows, columns = rows.to(kspace.device), columns.to(kspace.device)
    return rows @ (kspace @ columns.mT)


@lru_cache(maxsize=16)
def fourier_columns(n: int, kept: int, frequencies: int, step: float = 1.0) -> Complex[Tensor, "kept frequencies"]:
    """Of the centred inverse DFT matrix of length n: rows `kept` about the centre and `step` apart, columns `frequencies` about DC."""
    frequency = torch.arange(frequencies) - frequencies // 2
    angle = 2 * torch.pi / n * torch.outer(_positions(n, kept, step), frequency.double())
    return torch.polar(torch.full_like(angle, n**-0.5), angle).to(torch.complex64)


def _positions(n: int, kept: int, step: float) -> Float[Tensor, "kept"]:
    """Where `kept` pixels lie, in pixels of an image of n from its centre: its own pixels for a step of 1."""
    if step == 1:
        return (torch.arange(kept) + (n - kept) // 2 - n // 2).double()
    return (torch.arange(kept).double() - kept // 2) * step


def _measured(n: int, kept: int, step: float) -> Float[Tensor, "kept"]:
    """1 for pixels inside the transform's field of view, 0 outside."""
    position = _positions(n, kept, step)
    return ((position >= -(n // 2) - 0.5) & (position < n - n // 2 - 0.5)).float()


def centred_fft(image: Complex[Tensor, "*coil height width"]) -> Complex[Tensor, "*coil height width"]:
    """The centred, orthonormal forward FFT over the last two axes."""
    axes = (-2, -1)
    return torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(image, axes), norm="ortho"), axes)


def fit_centre(array: Shaped[Tensor, "..."], size: int, axis: int) -> Shaped[Tensor, "..."]:
    """Crop or zero-pad one axis (a negative number) about its centre to `size`; padding puts (size − n) // 2 before it."""
    n = array.shape[axis]
    if n >= size:
        return array.narrow(axis, (n - size) // 2, size)
    left = (size - n) // 2
    padding = [0, 0] * (-axis - 1) + [left, size - n - left]
    return torch.nn.functional.pad(array, padding)


def turned(image: Shaped[Tensor, "rows columns"], turn: Sequence[bool]) -> Shaped[Tensor, "height width"]:
    """An image as it is shown. turn: whether it is transposed first, then rows and columns flipped."""
    transpose, flip_rows, flip_columns = turn
    image = image.mT if transpose else image
    flipped = [axis for axis, flip in ((-2, flip_rows), (-1, flip_columns)) if flip]
    return image.flip(flipped).contiguous() if flipped or transpose else image


def refuse_too_wide(measured: int) -> None:
    """Raise SourceError for k-space with more than 400 columns: the published code drops it."""
    if measured > PUBLISHED_WIDTH:
        raise SourceError(
            f"k-space has {measured} columns; the published geometry ends at {PUBLISHED_WIDTH}. "
            f"Leave such volumes out with source.max_width={PUBLISHED_WIDTH}."
        )


def _kept_rows(
    spectrum: Complex[Tensor, "*coil phase readout"], height: int, n_columns: int
) -> Complex[Tensor, "*coil columns height"]:
    """The central `height` rows, turned by their ramp; columns at their position mod n_columns, zeros where none was measured."""
    measured, n_rows = spectrum.shape[-2], spectrum.shape[-1]
    made = spectrum.new_empty if measured == n_columns else spectrum.new_zeros
    half, ramp = made((*spectrum.shape[:-2], n_columns, height)), _ramp(n_rows, height).to(spectrum.device)
    first = (n_columns - measured) // 2 - n_columns // 2
    for column, to in _round(n_columns, measured, first):
        for row, taken in _round(n_rows, height):
            torch.mul(spectrum[..., column, taken], ramp[row], out=half[..., to, row])
    return half


def _round(n: int, size: int, first: int | None = None) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Positions first, first + 1, … (`size` of them; the central ones of n unless `first` is given) as two runs: which of them, and where mod n."""
    first = (n - size) // 2 - n // 2 if first is None else first
    before = min(-first, size)
    return (slice(0, before), slice(n + first, n + first + before)), (slice(before, size), slice(0, size - before))


@lru_cache(maxsize=16)
def _ramp(n: int, size: int) -> Complex[Tensor, "size"]:
    """e^{−2πi c p / n} of the central `size` positions p; for even n it is a sign."""
    position = np.arange(size) + (n - size) // 2 - n // 2
    return torch.from_numpy(np.exp(-2j * np.pi * (n // 2) * position / n).astype(np.complex64))
