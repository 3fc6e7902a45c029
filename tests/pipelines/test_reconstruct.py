"""`i2m2 reconstruct` on real multi-coil k-space, held against fastmri and against BART."""

import shutil
import subprocess
from pathlib import Path

import fastmri
import nibabel
import numpy as np
import pytest
import torch
from i2m2_med.pipelines import reconstruct

from i2m2_med.errors import SourceError, UserError
from i2m2_med.simulate.fastmri.anatomy import Geometry
from i2m2_med.simulate.knee import studies as studies_knee
from i2m2_med.simulate.knee import write as knee

BRAIN = "kspace_real/pulseq_brain_16ch.npy"


def loaded(path: str | Path) -> np.ndarray:
    """(row, column, slice) of what was written."""
    return np.asarray(nibabel.load(path).dataobj).transpose(1, 0, 2)


def save_cfl(path: Path, values: np.ndarray) -> None:
    """An array in BART's format: (row, column, 1, coil), Fortran order."""
    sizes = (*values.shape[1:], 1, len(values))
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, sizes)) + "\n", encoding="utf-8")
    path.with_suffix(".cfl").write_bytes(np.moveaxis(values, 0, -1).astype(np.complex64).tobytes(order="F"))


def test_real_brain_is_fastmris(shared_data: Path, tmp_path: Path) -> None:
    made = reconstruct.main(shared_data / BRAIN, tmp_path / "out")
    kspace = torch.from_numpy(np.load(shared_data / BRAIN))
    expected = fastmri.rss_complex(fastmri.ifft2c(torch.view_as_real(kspace))).numpy()
    found = loaded(made["magnitude"])[..., 0]
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)
    assert made["shape"] == [1, 128, 128]
    assert np.abs(loaded(made["phase"])).max() <= np.float32(np.pi)
    assert Path(made["picture"]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bart") is None, reason="BART is not installed (Debian package bart)")
def test_real_brain_is_barts(shared_data: Path, tmp_path: Path) -> None:
    made = reconstruct.main(shared_data / BRAIN, tmp_path / "out")
    save_cfl(tmp_path / "kspace", np.load(shared_data / BRAIN))
    for command in (["fft", "-i", "-u", "3", "kspace", "coils"], ["rss", "8", "coils", "image"]):
        subprocess.run(["bart", *command], cwd=tmp_path, check=True, capture_output=True)
    expected = np.fromfile(tmp_path / "image.cfl", np.complex64).reshape(128, 128, order="F").real
    found = loaded(made["magnitude"])[..., 0]
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)


def test_fastmri_volume_is_its_own_reconstruction(tmp_path: Path) -> None:
    import h5py

    knee.simulate(tmp_path / "data", volumes=1, slices=3, matrix="48x31", coils=3)
    (volume,) = (tmp_path / "data").rglob("*.h5")
    made = reconstruct.main(volume, tmp_path / "out")
    with h5py.File(volume) as file:
        expected = file["reconstruction_rss"][()]
    np.testing.assert_allclose(loaded(made["magnitude"]).transpose(2, 0, 1), expected, rtol=1e-3, atol=1e-8)
    zooms = nibabel.load(made["magnitude"]).header.get_zooms()
    assert len(zooms) == 3
    assert min(zooms) > 0


def test_ismrmrd_and_its_own_output_give_the_same(shared_data: Path, tmp_path: Path) -> None:
    raw = shared_data / "kspace_phantom" / "ismrmrd_sl_64_4ch.h5"
    first = reconstruct.main(raw, tmp_path / "first")
    second = reconstruct.main(tmp_path / "first", tmp_path / "second")  # a NIfTI pair is a study folder
    third = reconstruct.main(tmp_path / "first" / "phase.nii.gz", tmp_path / "third")
    for name in ("magnitude", "phase"):
        for other in (second, third):
            np.testing.assert_allclose(loaded(first[name]), loaded(other[name]), rtol=1e-4, atol=1e-4)


def test_every_form_of_a_study(tmp_path: Path) -> None:
    study = studies_knee.draw_study(Geometry(48, 31), 2, np.random.default_rng(0))
    for write in (studies_knee.write_kspace, studies_knee.write_raw, studies_knee.write_pair):
        folder = tmp_path / write.__name__
        folder.mkdir()
        write(folder, study)
        made = reconstruct.main(folder, tmp_path / f"out_{write.__name__}")
        np.testing.assert_allclose(
            loaded(made["magnitude"]), np.abs(study.images).transpose(1, 2, 0), rtol=1e-3, atol=1e-7
        )


def test_what_was_not_acquired_is_not_made_up(tmp_path: Path) -> None:
    study = studies_knee.draw_study(Geometry(48, 31), 2, np.random.default_rng(0))
    (tmp_path / "study").mkdir()
    studies_knee.write_magnitude(tmp_path / "study", study)
    made = reconstruct.main(tmp_path / "study", tmp_path / "out")
    assert not (tmp_path / "out" / "phase.nii.gz").exists()
    assert "phase" not in made
    affines = [nibabel.load(path).affine for path in (made["magnitude"], tmp_path / "study" / "magnitude.nii.gz")]
    np.testing.assert_allclose(*affines)
    assert made["orientation"] == "of the file"


def test_a_nominal_orientation_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "kspace.npy", np.ones((2, 8, 8), np.complex64))
    made = reconstruct.main(tmp_path / "kspace.npy", tmp_path / "out")
    assert made["orientation"].startswith("nominal")
    assert b"nominal" in nibabel.load(made["magnitude"]).header["descrip"].tobytes()


def test_nothing_half_written(tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.full((2, 8, 8), np.nan, np.complex64))
    with pytest.raises(SourceError, match=r"bad\.npy: slice 0 of kspace holds NaN"):
        reconstruct.main(tmp_path / "bad.npy", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    np.save(tmp_path / "pickled.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(SourceError, match="array of numbers"):
        reconstruct.main(tmp_path / "pickled.npy", tmp_path / "out")
    with pytest.raises(SourceError, match="is not there"):
        reconstruct.main(tmp_path / "none.h5", tmp_path / "out")
    np.save(tmp_path / "good.npy", np.ones((2, 8, 8), np.complex64))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(UserError, match="already holds"):
        reconstruct.main(tmp_path / "good.npy", tmp_path / "out")
