"""The cropped transform against fastmri, against its adjoint, and on sizes that no scanner would choose."""

import fastmri
import pytest
import torch
from fastmri.data.transforms import center_crop

from i2m2_med.errors import SourceError
from i2m2_med.samples.physics import centred_fft, centred_ifft, fit_centre, refuse_too_wide

SIZES = [(640, 368, 320, 320, 0), (31, 23, 15, 11, 0), (30, 23, 32, 11, 29), (7, 5, 7, 9, 0), (6, 5, 5, 4, 8)]


def complex_noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize(("rows", "columns", "height", "width", "zero_fill"), SIZES)
def test_it_is_fastmri_then_crop(rows: int, columns: int, height: int, width: int, zero_fill: int) -> None:
    kspace = complex_noise(2, rows, columns)
    filled = fit_centre(kspace, max(columns, zero_fill), -1).to(torch.complex128)
    whole = torch.view_as_complex(fastmri.ifft2c(torch.view_as_real(filled.contiguous())))
    expected = fit_centre(fit_centre(whole, height, -2), width, -1)
    found = centred_ifft(kspace, height, width, zero_fill)
    assert (found - expected).norm() / expected.norm() < 1e-6
    assert found.dtype == torch.complex64


def test_cropping_is_fastmris() -> None:
    image = torch.rand(9, 12)
    assert torch.equal(fit_centre(fit_centre(image, 4, -2), 5, -1), center_crop(image, (4, 5)))


@pytest.mark.parametrize("shape", [(8, 6), (7, 5), (8, 5)])
def test_forward_and_inverse_are_adjoint_and_undo_each_other(shape: tuple[int, int]) -> None:
    image, kspace = complex_noise(*shape), complex_noise(*shape) * 2
    left = torch.vdot(centred_fft(image).flatten(), kspace.flatten())
    right = torch.vdot(image.flatten(), centred_ifft(kspace, *shape).flatten())
    torch.testing.assert_close(left, right)
    torch.testing.assert_close(centred_ifft(centred_fft(image), *shape), image)


def test_padding_then_cropping_gives_the_same_back() -> None:
    image = torch.rand(5, 7)
    for size in (8, 9, 12):
        assert torch.equal(fit_centre(fit_centre(image, size, -1), 7, -1), image)


def test_published_geometry_ends_at_400_columns() -> None:
    refuse_too_wide(400)
    with pytest.raises(SourceError, match=r"401 columns.*source\.max_width=400"):
        refuse_too_wide(401)


@pytest.mark.parametrize(("rows", "columns", "height", "width", "zero_fill"), [(640, 368, 320, 320, 400), *SIZES])
def test_one_thread_and_two_give_the_same_bits(
    rows: int, columns: int, height: int, width: int, zero_fill: int
) -> None:
    kspace, before = complex_noise(rows, columns), torch.get_num_threads()
    made: list[torch.Tensor] = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(centred_ifft(kspace, height, width, zero_fill))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*made)
