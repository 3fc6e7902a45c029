"""An ellipse of 120 × 72 mm is one of 120 × 72 mm, whatever grid it was measured on and reconstructed to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms.compose import Compose

from i2m2_med.errors import SourceError
from i2m2_med.samples import LoadSliced, Modalitiesd, Reconstructd
from i2m2_med.samples.coils import reconstruct
from i2m2_med.samples.fastmri.reconstruction import reconstruct_volume
from i2m2_med.samples.physics import centred_fft, centred_ifft, fit_centre, sampled_ifft
from i2m2_med.sources.fastmri.slices import VolumeFiles, inspect
from i2m2_med.sources.fastmri.study import open_study, volume_rows
from tests.scans import (
    FASTMRI,
    PHASE_MM,
    READOUT_MM,
    SCANS,
    SIEMENS_TSE,
    Scan,
    extents_mm,
    write_fastmri,
    write_ismrmrd,
)

FORMATS = {"fastmri": write_fastmri, "ismrmrd": write_ismrmrd}
UNLIKE = {"siemens_tse", "interpolated", "phase_resolution_60", "wider_than_its_header", "odd_sizes_interpolated"}
UNLIKE |= {"readout_wider_than_its_header", "anisotropic", "lower_than_encoded"}
"""Scans whose reconstruction has other pixels than k-space's image."""


def modelled(path: Path, **settings: object) -> np.ndarray:
    """What a model sees of slice 0."""
    files = VolumeFiles(path)
    record = volume_rows(files, inspect(files)).row(0, named=True)
    steps = [LoadSliced(), Reconstructd(size=[480, 480], **settings), Modalitiesd(keys=["magnitude"])]
    return Compose(steps)(record)["magnitude"][0].numpy()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", SCANS)
def test_extents(tmp_path: Path, name: str, form: str) -> None:
    scan = SCANS[name]
    if form == "ismrmrd" and scan.stored and scan.stored[1] > scan.encoded[1]:
        pytest.skip("lines of ISMRMRD files carry their place: none lies outside the header's")
    path = FORMATS[form](tmp_path / "scan.h5", scan)
    images = reconstruct_volume(VolumeFiles(path))
    volume = images.volume
    assert volume.voxel_mm == pytest.approx([mm / n for mm, n in zip(scan.recon_mm, scan.recon, strict=True)])
    assert volume.resampled == (name in UNLIKE)
    assert images.image.shape[1:] == (scan.recon[0], scan.recon[1])
    for shown in (images.image[0], modelled(path)):
        found = extents_mm(shown, images.voxel_mm)
        for length, wanted, pixel in zip(found, (READOUT_MM, PHASE_MM), images.voxel_mm, strict=False):
            assert abs(length - wanted) < max(pixel, scan.encoded_mm[1] / scan.encoded[1])
    assert 0.1 < np.sqrt(np.mean(np.abs(images.image) ** 2)) / volume.scale < 1.6


@pytest.mark.parametrize("name", SCANS)
def test_places_are_kept(tmp_path: Path, name: str) -> None:
    scan = replace(SCANS[name], centre=(6.0, -5.0))
    images = reconstruct_volume(VolumeFiles(write_fastmri(tmp_path / "scan.h5", scan)))
    mass = np.abs(images.image[0]) ** 2
    for axis, wanted in enumerate(scan.centre):
        size = mass.shape[axis]
        found = (mass.sum(axis=1 - axis) / mass.sum() * (np.arange(size) - size // 2)).sum() * images.voxel_mm[axis]
        assert abs(found - wanted) < max(images.voxel_mm[axis], scan.encoded_mm[axis] / scan.encoded[axis])


def test_published_geometry_crops_pixels(tmp_path: Path) -> None:
    path = write_fastmri(tmp_path / "scan.h5", SIEMENS_TSE)
    encoded = [mm / n for mm, n in zip(SIEMENS_TSE.encoded_mm, SIEMENS_TSE.shape, strict=False)]
    narrow = encoded[0], encoded[1] * 228 / 400
    found = extents_mm(modelled(path, parity="published"), narrow)
    assert found == pytest.approx((READOUT_MM, PHASE_MM), abs=1.0)


@pytest.mark.parametrize(("rows", "columns", "times"), [(24, 20, 2), (25, 21, 3)])
def test_sampling_is_zero_filling_and_cropping(rows: int, columns: int, times: int) -> None:
    kspace = torch.randn(2, rows, columns, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    filled = fit_centre(fit_centre(kspace, 3 * rows, -2), times * columns, -1)  # DC stays at n // 2
    whole = centred_ifft(filled, 3 * rows, times * columns) * (3 * times) ** 0.5
    found = sampled_ifft(kspace, 3 * rows, times * columns, (1 / 3, 1 / times))
    inside = slice(3, -3), slice(3, -3)
    torch.testing.assert_close(found[:, *inside], whole[:, *inside], rtol=1e-4, atol=1e-5)


def test_sampling_is_adjoint() -> None:
    generator = torch.Generator().manual_seed(1)
    kspace = torch.randn(13, 10, dtype=torch.complex64, generator=generator)
    image = torch.randn(17, 9, dtype=torch.complex64, generator=generator)
    step = (0.8, 1.3)
    columns = torch.stack(
        [sampled_ifft(one.reshape(13, 10), 17, 9, step) for one in torch.eye(130, dtype=torch.complex64)]
    )
    back = (columns.conj() * image).sum(dim=(1, 2)).reshape(13, 10)
    left = torch.vdot(sampled_ifft(kspace, 17, 9, step).flatten(), image.flatten())
    torch.testing.assert_close(left, torch.vdot(kspace.flatten(), back.flatten()))


def test_coils_are_combined_on_the_same_grid() -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 36), indexing="ij")
    thing = torch.polar(torch.exp(-4 * (x**2 + y**2)), 0.5 * x)
    coils = torch.stack([torch.polar(torch.exp(-((x - s) ** 2)), s + y) for s in (-1.0, 0.3, 1.0)])
    kspace = centred_fft(coils * thing)
    plain, fine = reconstruct(kspace, 40, 36), reconstruct(kspace, 80, 72, step=(0.5, 0.5))
    torch.testing.assert_close(fine[::2, ::2].abs(), plain.abs(), rtol=1e-3, atol=1e-4)
    inside = plain.abs() > 0.1
    assert (fine[::2, ::2] * plain.conj())[inside].angle().abs().max() < 1e-2


REFUSED = {
    "a readout cut to something else": replace(FASTMRI, stored=(500, 368), removed=True),
    "more samples than encoded, all full": Scan((300, 368, 1), (280, 161, 3), (320, 320, 1), (140, 140, 3), (640, 368)),
}


@pytest.mark.parametrize("why", REFUSED)
def test_pixels_of_unknown_size_are_refused(tmp_path: Path, why: str) -> None:
    scan = REFUSED[why]
    if scan.stored and scan.stored[0] > scan.encoded[0]:
        full = replace(scan, encoded=(*scan.stored, 1), stored=None)
        path = write_fastmri(tmp_path / "a.h5", full)
        import h5py

        with h5py.File(path, "r+") as file:
            xml = (
                file["ismrmrd_header"][()]
                .decode()
                .replace("<x>640</x>", "<x>300</x>", 1)
                .replace("<ns0:x>640</ns0:x>", "<ns0:x>300</ns0:x>", 1)
            )
            del file["ismrmrd_header"]
            file["ismrmrd_header"] = xml
    else:
        path = write_fastmri(tmp_path / "a.h5", scan)
    with pytest.raises(SourceError, match=r"samples along readout, but the header says .* over 280 mm.*can't be told"):
        open_study(path)
