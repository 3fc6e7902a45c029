"""Between k-space and image: the centred, orthonormal inverse Fourier transform, computed only where the image is kept.

Axes: readout = image rows (height), phase = image columns (width); DC sits at index n // 2 of either domain, as in
fastMRI. Cropping to n keeps the rows from (N − n) // 2 on, as `fastmri.data.transforms.center_crop` does.
"""

import torch
from jaxtyping import Complex, Shaped
from torch import Tensor

from i2m2_med.errors import SourceError

PUBLISHED_WIDTH = 400
"""Columns that the published code zero-fills k-space to before it transforms."""


def centred_ifft(
    kspace: Complex[Tensor, "*coil readout phase"], height: int, width: int
) -> Complex[Tensor, "*coil height width"]:
    """The centre (height, width) of the centred inverse FFT; a smaller image is put in the middle of zeros.

    The transform is separable: the readout is transformed first and cropped before the phase direction is, so the
    second pass (and every copy) works on height rows instead of all.
    """
    rows = fit_centre(_ifft_axis(kspace, -2), height, -2)
    return fit_centre(_ifft_axis(rows, -1), width, -1)


def centred_fft(image: Complex[Tensor, "*coil height width"]) -> Complex[Tensor, "*coil height width"]:
    """The centred, orthonormal forward FFT over the last two axes."""
    axes = (-2, -1)
    return torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(image, axes), norm="ortho"), axes)


def fit_centre(array: Shaped[Tensor, "..."], size: int, axis: int) -> Shaped[Tensor, "..."]:
    """Crop or zero-pad one axis (negative number) about its centre to `size`. Published rule for padding: left = (size − n) // 2."""
    n = array.shape[axis]
    if n >= size:
        return array.narrow(axis, (n - size) // 2, size)
    left = (size - n) // 2
    padding = [0, 0] * (-axis - 1) + [left, size - n - left]
    return torch.nn.functional.pad(array, padding)


def zero_fill_published(kspace: Complex[Tensor, "*coil readout phase"]) -> Complex[Tensor, "*coil readout 400"]:
    """Zero-fill the phase axis to 400 columns as the published code does. Raises SourceError for wider k-space, which it drops."""
    if kspace.shape[-1] > PUBLISHED_WIDTH:
        raise SourceError(
            f"k-space has {kspace.shape[-1]} columns; the published geometry ends at {PUBLISHED_WIDTH}. "
            f"Leave such volumes out with source.max_width={PUBLISHED_WIDTH}."
        )
    return fit_centre(kspace, PUBLISHED_WIDTH, -1)


def _ifft_axis(array: Complex[Tensor, "..."], axis: int) -> Complex[Tensor, "..."]:
    """Centred inverse FFT along one axis. For even lengths the shift of the input becomes a sign, (−1)^m, on the output."""
    shifted = torch.fft.ifftshift(array, axis)
    return torch.fft.fftshift(torch.fft.ifft(shifted, dim=axis, norm="ortho"), axis)
