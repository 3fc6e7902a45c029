"""BART's files: k-space by BART is read as BART reconstructs it."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.samples.fastmri.reconstruction import reconstruct_volume
from i2m2_med.sources.fastmri.slices import VolumeFiles, find_volumes, inspect


def save_cfl(path: Path, values: np.ndarray) -> Path:
    """An array by BART's dimensions, Fortran order."""
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, values.shape)) + "\n", encoding="utf-8")
    path.write_bytes(values.astype(np.complex64).tobytes(order="F"))
    return path


def test_barts_phantom_is_barts_image(shared_data: Path) -> None:
    path = shared_data / "kspace_phantom" / "bart_ksp_128_8ch.cfl"
    found = next(volume for volume in find_volumes(path.parent) if volume.data == path)
    assert [one.suffix for one in found.paths] == [".cfl", ".hdr"]
    image = reconstruct_volume(found).image
    assert image.shape == (1, 128, 128)
    expected = np.fromfile(path.with_name("bart_img_128.cfl"), np.complex64).reshape(128, 128, order="F").real
    match = np.vdot(np.abs(image[0]), expected) / np.linalg.norm(image) / np.linalg.norm(expected)
    assert match > 0.95  # shaded by the coils


@pytest.mark.skipif(shutil.which("bart") is None, reason="BART is not installed (Debian package bart)")
@pytest.mark.parametrize("flag", [[], ["-3"]])
def test_it_is_barts_transform(tmp_path: Path, flag: list[str]) -> None:
    for command in (["phantom", *flag, "-x", "24", "-k", "k"], ["fft", "-i", "-u", "7" if flag else "3", "k", "image"]):
        subprocess.run(["bart", *command], cwd=tmp_path, check=True, capture_output=True)
    expected = np.fromfile(tmp_path / "image.cfl", np.complex64).reshape(24, 24, -1, order="F").transpose(2, 0, 1)
    found = reconstruct_volume(VolumeFiles(tmp_path / "k.cfl")).image
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_slices_and_coils(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(8, 6, 1, 2, *[1] * 9, 3)) + 1j
    volume = inspect(VolumeFiles(save_cfl(tmp_path / "a.cfl", values)))
    assert (volume.n_slices, volume.n_coils, volume.readout, volume.phase) == (3, 2, 8, 6)
    from i2m2_med.sources.fastmri.slices import read_kspace

    expected = np.moveaxis(values[:, :, 0, :, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], 2, 0)
    np.testing.assert_allclose(read_kspace(tmp_path / "a.cfl", "cfl", 2), expected, rtol=1e-6)


def echoes(path: Path) -> None:
    save_cfl(path, np.ones((4, 4, 1, 1, 1, 2)))


def headless(path: Path) -> None:
    save_cfl(path, np.ones((4, 4)))
    path.with_suffix(".hdr").unlink()


def short(path: Path) -> None:
    save_cfl(path, np.ones((4, 4)))
    path.write_bytes(path.read_bytes()[:-8])


def huge(path: Path) -> None:
    save_cfl(path, np.ones((4, 4)))
    path.with_suffix(".hdr").write_text("# Dimensions\n1000000 1000000 1000000\n", encoding="utf-8")


def words(path: Path) -> None:
    save_cfl(path, np.ones((4, 4)))
    path.with_suffix(".hdr").write_text("# Dimensions\nmany\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (echoes, r"2 images by echo time \(dimension 5\)"),
        (headless, "needs its a.hdr"),
        (short, "is no file of the 128 bytes"),
        (huge, "is no file of the"),
        (words, "needs its a.hdr"),
    ],
)
def test_refused_in_one_line(tmp_path: Path, write, why: str) -> None:
    write(tmp_path / "a.cfl")
    with pytest.raises(SourceError, match=why):
        inspect(VolumeFiles(tmp_path / "a.cfl"))
