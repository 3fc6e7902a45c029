"""A phase that survives the combination of coils, and a magnitude that is the root sum of squares."""

from pathlib import Path

import fastmri
import numpy as np
import pytest
import torch

from i2m2_med.samples.coils import calibration, reconstruct
from i2m2_med.samples.physics import centred_fft, centred_ifft, fourier_columns

HEIGHT, WIDTH, COILS = 40, 37, 5


@pytest.fixture
def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """An object with a smooth and a local phase, and five smooth coils on a ring: (row, column), (coil, row, column)."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, HEIGHT), torch.linspace(-1, 1, WIDTH), indexing="ij")
    phase = 0.9 * torch.sin(3 * x) + 0.4 * y + 0.5 * (torch.hypot(x - 0.1, y) < 0.2)
    thing = torch.polar((torch.hypot(x, y) < 0.8).float() + 0.3 * (x.abs() < 0.3), phase)
    angles = 2 * torch.pi * torch.arange(COILS) / COILS
    reach = torch.exp(-((x - angles.cos()[:, None, None]) ** 2 + (y - angles.sin()[:, None, None]) ** 2) / 2)
    return thing, torch.polar(reach, angles[:, None, None] + 0.5 * x)


def test_magnitude_is_fastmris_root_sum_of_squares(scene: tuple[torch.Tensor, torch.Tensor]) -> None:
    thing, coils = scene
    expected = fastmri.rss_complex(torch.view_as_real(coils * thing))
    torch.testing.assert_close(
        reconstruct(centred_fft(coils * thing), HEIGHT, WIDTH).abs(), expected, rtol=1e-4, atol=1e-5
    )


def test_the_objects_phase_survives(scene: tuple[torch.Tensor, torch.Tensor]) -> None:
    thing, coils = scene
    inside = thing.abs() > 0.5
    turned = reconstruct(centred_fft(coils * thing), HEIGHT, WIDTH)
    flat = reconstruct(centred_fft(coils * thing.abs()), HEIGHT, WIDTH)
    left = (turned * flat.conj() * thing.conj())[inside].angle()
    left = left - torch.polar(torch.ones(()), left).mean().angle()
    assert left.square().mean().sqrt() < 0.1


def test_turning_each_coils_receiver_changes_nothing(scene: tuple[torch.Tensor, torch.Tensor]) -> None:
    thing, coils = scene
    receivers = torch.polar(torch.ones(COILS), torch.tensor([0.0, 1.0, -2.0, 3.0, 0.5]))[:, None, None]
    first = reconstruct(centred_fft(coils * thing), HEIGHT, WIDTH)
    second = reconstruct(centred_fft(receivers * coils * thing), HEIGHT, WIDTH)
    inside = thing.abs() > 0.5
    torch.testing.assert_close(first[inside], second[inside], rtol=1e-3, atol=1e-3)
    summed = (
        centred_ifft(centred_fft(coils * thing), HEIGHT, WIDTH).sum(0),
        centred_ifft(centred_fft(receivers * coils * thing), HEIGHT, WIDTH).sum(0),
    )
    assert (summed[0] - summed[1])[inside].abs().mean() > 0.3  # what plain adding would do


def test_one_coil_stays_as_it_is() -> None:
    kspace = torch.randn(1, 12, 9, dtype=torch.complex64)
    assert torch.equal(reconstruct(kspace, 6, 6), centred_ifft(kspace[0], 6, 6))


def test_undersampled_kspace_is_calibrated_on_its_measured_centre() -> None:
    kspace = torch.randn(2, 40, 60, dtype=torch.complex64)
    kspace[..., :27] = 0
    kspace[..., 34:] = 0
    assert calibration(kspace).shape == (2, 24, 7)  # columns 27 … 33, DC at 30


def test_fourier_columns_are_the_inverse_transform() -> None:
    centre = torch.randn(5, dtype=torch.complex64)
    kspace = torch.zeros(11, dtype=torch.complex64)
    kspace[5 - 2 : 5 + 3] = centre
    expected = centred_ifft(kspace[None], 1, 7)[0]
    torch.testing.assert_close(fourier_columns(11, 7, 5) @ centre, expected)


def test_bart_phantom_keeps_a_flat_phase(shared_data: Path) -> None:
    """BART's phantom is real: what phase is left is one smooth coil phase, without jumps."""
    stem = shared_data / "kspace_phantom" / "bart_ksp_128_8ch"
    shape = [int(size) for size in stem.with_suffix(".hdr").read_text(encoding="utf-8").splitlines()[1].split()]
    kspace = np.fromfile(stem.with_suffix(".cfl"), np.complex64).reshape(shape, order="F").squeeze()
    image = reconstruct(torch.from_numpy(np.ascontiguousarray(np.moveaxis(kspace, -1, 0))), 128, 128)
    inside = image.abs() > 0.1 * image.abs().max()
    step = (image[:, 1:] * image[:, :-1].conj()).angle().abs()[inside[:, 1:] & inside[:, :-1]]
    assert step.quantile(0.99) < 0.2
