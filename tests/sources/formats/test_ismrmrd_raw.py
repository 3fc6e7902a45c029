"""ISMRMRD raw data against the ismrmrd package, the truth in its phantom, and fastMRI's form of the same study."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.simulate.fastmri.anatomy import Geometry
from i2m2_med.simulate.knee import studies as studies_knee
from i2m2_med.simulate.knee.anatomy import PIXEL_MM, SLICE_MM
from i2m2_med.sources.formats.ismrmrd_counters import Choice
from i2m2_med.sources.formats.ismrmrd_raw import inspect_raw, is_ismrmrd, read_raw


def test_phantom_is_what_its_file_says_it_is(shared_data: Path) -> None:
    path = shared_data / "kspace_phantom" / "ismrmrd_sl_64_4ch.h5"
    assert is_ismrmrd(path)
    kspace = read_raw(path, 0)
    assert kspace.shape == (4, 128, 64)
    assert (np.abs(kspace).max(axis=(0, 1)) > 0).all()
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=(1, 2)), norm="ortho"), axes=(1, 2))
    with h5py.File(path) as file:
        truth = file["dataset/coil_images"][0]
    expected = (truth["real"] + 1j * truth["imag"]).swapaxes(1, 2)
    for found, wanted in zip(image, expected, strict=True):
        match = np.abs(np.vdot(found, wanted)) / np.linalg.norm(found) / np.linalg.norm(wanted)
        assert match > 0.99


def test_repetitions_of_an_accelerated_phantom_are_not_merged(shared_data: Path) -> None:
    path = shared_data / "kspace_phantom" / "ismrmrd_sl_64_4ch_R4.h5"
    with pytest.raises(SourceError, match=r"4 images by their repetition \(0, 1, 2, 3\)"):
        inspect_raw(path)
    measured = [np.abs(read_raw(path, 0, Choice(repetition=number))).max(axis=(0, 1)) > 0 for number in range(4)]
    assert (np.sum(measured, axis=0) == 1).all()  # every line once: each repetition measured other ones
    assert "separate calibration readouts left out" in inspect_raw(path, Choice(repetition=2)).remarks


def test_lines_are_the_ismrmrd_packages(shared_data: Path) -> None:
    import ismrmrd

    path = shared_data / "kspace_phantom" / "ismrmrd_sl_64_4ch.h5"
    kspace = read_raw(path, 0)
    theirs = ismrmrd.Dataset(str(path), "dataset", mode="r")
    for number in range(theirs.number_of_acquisitions()):
        line = theirs.read_acquisition(number)
        if not line.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT):
            assert np.array_equal(kspace[:, :, line.idx.kspace_encode_step_1], line.data)
    theirs.close()


def test_the_same_study_in_both_forms(tmp_path: Path) -> None:
    study = studies_knee.draw_study(Geometry(40, 27), 3, np.random.default_rng(5))
    studies_knee.write_raw(tmp_path, study)
    volume = inspect_raw(tmp_path / "raw.h5")
    assert (volume.n_slices, volume.n_coils, volume.readout, volume.phase) == (3, 1, 40, 27)
    for index in range(3):
        np.testing.assert_array_equal(read_raw(tmp_path / "raw.h5", index), study.kspace[index])
    assert np.allclose(
        np.reshape(volume.affine, (4, 4))[:3, :3], [[-PIXEL_MM, 0, 0], [0, 0, SLICE_MM], [0, PIXEL_MM, 0]]
    )
    assert volume.turn == (False, False, False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda head: head["idx"].__setitem__("kspace_encode_step_1", 60_000), "step 60000 lies outside"),
        (lambda head: head.__setitem__("flags", 1 << 21), "measured backwards"),
        (lambda head: head.__setitem__("number_of_samples", 3), "a readout holds"),
        (lambda head: head.__setitem__("center_sample", 1), "does not fit"),
    ],
)
def test_what_can_not_be_read_is_one_line(tmp_path: Path, change, said: str) -> None:
    studies_knee.write_raw(tmp_path, studies_knee.draw_study(Geometry(40, 27), 1, np.random.default_rng(5)))
    with h5py.File(tmp_path / "raw.h5", "r+") as file:
        row = file["dataset/data"][0]
        change(row["head"])
        file["dataset/data"][0] = row
    with pytest.raises(SourceError, match=said):
        inspect_raw(tmp_path / "raw.h5")
