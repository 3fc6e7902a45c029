"""Between k-space and image: the centred, orthonormal inverse Fourier transform, computed only where the image is kept.

Axes: readout = image rows (height), phase = image columns (width); DC sits at index n // 2 of either domain, as in
fastMRI. Cropping to n keeps the rows from (N − n) // 2 on, as `fastmri.data.transforms.center_crop` does.

With c = N // 2 and measured samples k = 0 … n − 1 that start at column `left` of N zero-filled ones, the transform is

    x[m] = N^-½ Σ_k K[k] e^{2πi (k + left − c)(m − c) / N} = out[m] · ifft_N(K[k] · in[k])[m]
    in[k] = e^{−2πi k c / N},   out[m] = e^{2πi (left − c)(m − c) / N}

so no array is shifted: two ramps of phase do the work of both shifts, for even and odd lengths alike.
"""

from functools import lru_cache

import numpy as np
import scipy.fft
import torch
from jaxtyping import Complex, Shaped
from torch import Tensor

from i2m2_med.errors import SourceError

PUBLISHED_WIDTH = 400
"""Columns that the published code zero-fills k-space to before it transforms."""


def centred_ifft(
    kspace: Complex[Tensor, "*coil readout phase"], height: int, width: int, zero_fill: int = 0
) -> Complex[Tensor, "*coil height width"]:
    """The centre (height, width) of the centred inverse FFT; a smaller image is put in the middle of zeros.

    zero_fill: columns that k-space is zero-filled to about its centre (published: 400). The transform is separable: the
    readout goes first and is cropped, so the second pass (and every later copy) works on `height` rows, not on all.
    """
    n_rows, measured = kspace.shape[-2], kspace.shape[-1]
    n_columns = max(measured, zero_fill)
    first, ramp_in, ramp_out = _ramps(n_rows, measured, n_columns, min(height, n_rows), min(width, n_columns))
    half = _turned_rows(_ifft(kspace, n_rows, -2), first, ramp_in, n_columns)
    image = fit_centre(_ifft(half, n_columns, -1), min(width, n_columns), -1) * ramp_out
    return fit_centre(fit_centre(image, height, -2), width, -1)


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


def refuse_too_wide(measured: int) -> None:
    """Raise SourceError for k-space with more than 400 columns: the published code drops it."""
    if measured > PUBLISHED_WIDTH:
        raise SourceError(
            f"k-space has {measured} columns; the published geometry ends at {PUBLISHED_WIDTH}. "
            f"Leave such volumes out with source.max_width={PUBLISHED_WIDTH}."
        )


def _turned_rows(
    spectrum: Complex[Tensor, "*coil readout phase"], first: int, ramp: Complex[Tensor, "height phase"], n_columns: int
) -> Complex[Tensor, "*coil height columns"]:
    """Rows from `first` on, round the end, times the ramp, with zeros after them up to n_columns: one pass over the data."""
    height, measured = ramp.shape
    before = min(-first, height)  # rows that come before the uncentred transform's row 0
    made = spectrum.new_empty if measured == n_columns else spectrum.new_zeros
    rows = made((*spectrum.shape[:-2], height, n_columns))
    torch.mul(spectrum.narrow(-2, spectrum.shape[-2] + first, before), ramp[:before], out=rows[..., :before, :measured])
    torch.mul(spectrum[..., : height - before, :], ramp[before:], out=rows[..., before:, :measured])
    return rows


def _ifft(array: Complex[Tensor, "..."], n: int, axis: int) -> Complex[Tensor, "..."]:
    """Inverse FFT of length n. Large prime factors (fastMRI's 368 = 16 · 23) take torch's library 3 times as long as scipy's."""
    if int(scipy.fft.next_fast_len(n)) == n:  # pyright: ignore[reportArgumentType]
        return torch.fft.ifft(array, n, dim=axis, norm="ortho")
    return torch.from_numpy(scipy.fft.ifft(array.numpy(), n, axis=axis, norm="ortho"))


@lru_cache(maxsize=64)
def _ramps(n_rows: int, measured: int, n_columns: int, height: int, width: int) -> tuple[int, Tensor, Tensor]:
    """The first kept row of the uncentred transform (≤ 0: counted from its end); the ramps (height, measured) before the second pass and (width,) after it."""
    position = np.arange(height) + (n_rows - height) // 2 - n_rows // 2
    column = np.arange(width) + (n_columns - width) // 2 - n_columns // 2
    centre, left = n_columns // 2, (n_columns - measured) // 2
    turn_rows = np.exp(-2j * np.pi * (n_rows // 2) * position / n_rows)
    turn_in = np.exp(-2j * np.pi * centre * np.arange(measured) / n_columns)
    turn_out = np.exp(2j * np.pi * (left - centre) * column / n_columns)
    made = (np.outer(turn_rows, turn_in), turn_out)
    ramp_in, ramp_out = (torch.from_numpy(ramp.astype(np.complex64)) for ramp in made)
    return int(position[0]), ramp_in, ramp_out
