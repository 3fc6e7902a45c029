"""NIfTI images of magnitude and phase: found by their names, read slice by slice, in radians whatever they hold."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.fastmri.slices import find_volumes, inspect, read_image
from i2m2_med.sources.formats.nifti import inspect_pair, part_of, volume_name

COLUMNS, ROWS, SLICES = 7, 5, 3


@pytest.fixture
def images() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.uniform(1, 2, (COLUMNS, ROWS, SLICES)) * np.exp(1j * random.uniform(-3, 3, (COLUMNS, ROWS, SLICES)))


def save(path: Path, values: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.diag([0.5, 0.6, 3.0, 1.0])), path)


@pytest.mark.parametrize(
    ("magnitude", "phase", "name"),
    [
        ("magnitude.nii.gz", "phase.nii.gz", "image"),
        ("sub-01_part-mag_T2w.nii.gz", "sub-01_part-phase_T2w.nii.gz", "sub-01_T2w"),
        ("knee7_mag.nii", "knee7_phase.nii", "knee7"),
    ],
)
def test_pairs_are_found_and_read(tmp_path: Path, images: np.ndarray, magnitude: str, phase: str, name: str) -> None:
    save(tmp_path / magnitude, np.abs(images))
    save(tmp_path / phase, np.angle(images))
    (found,) = find_volumes(tmp_path)
    assert found.name == name
    volume = inspect(found)
    assert (volume.n_slices, volume.readout, volume.phase) == (SLICES, ROWS, COLUMNS)
    assert volume.voxel_mm == pytest.approx((0.6, 0.5, 3.0))
    for index in range(SLICES):
        np.testing.assert_allclose(read_image(found, index), images[..., index].T, rtol=1e-5)


def test_scanner_units(tmp_path: Path, images: np.ndarray) -> None:
    save(tmp_path / "magnitude.nii", np.abs(images))
    for units in (np.angle(images) * 4096 / np.pi, np.angle(images) % (2 * np.pi) * 2048 / np.pi):
        save(tmp_path / "phase.nii", units)
        np.testing.assert_allclose(read_image(find_volumes(tmp_path)[0], 1), images[..., 1].T, rtol=1e-3)
    save(tmp_path / "phase.nii", np.angle(images) * 1e5)
    with pytest.raises(SourceError, match=r"phase\.nii holds .*radians"):
        read_image(find_volumes(tmp_path)[0], 1)


def test_either_may_come_alone(tmp_path: Path, images: np.ndarray) -> None:
    save(tmp_path / "a_magnitude.nii", np.abs(images))
    save(tmp_path / "b_phase.nii", np.angle(images))
    alone = {volume.name: inspect(volume) for volume in find_volumes(tmp_path)}
    assert (alone["a"].has_magnitude, alone["a"].has_phase) == (True, False)
    assert (alone["b"].has_magnitude, alone["b"].has_phase) == (False, True)


def test_bids_subject_is_the_patient(tmp_path: Path, images: np.ndarray) -> None:
    save(tmp_path / "sub-07_part-mag_PDw.nii", np.abs(images))
    assert inspect_pair(tmp_path / "sub-07_part-mag_PDw.nii", None).patient_id == "07"


def test_bad_pairs(tmp_path: Path, images: np.ndarray) -> None:
    save(tmp_path / "magnitude.nii", np.abs(images))
    save(tmp_path / "phase.nii", np.angle(images)[..., :2])
    with pytest.raises(SourceError, match="differ in shape"):
        inspect(find_volumes(tmp_path)[0])
    images[0, 0, 0] = np.nan
    save(tmp_path / "phase.nii", np.angle(images))
    with pytest.raises(SourceError, match=r"phase\.nii holds NaN"):
        inspect(find_volumes(tmp_path)[0])
    (tmp_path / "phase.nii").write_bytes((tmp_path / "phase.nii").read_bytes()[:400])
    with pytest.raises(SourceError, match=r"phase\.nii is truncated"):
        inspect(find_volumes(tmp_path)[0])


def test_names_that_only_look_like_parts() -> None:
    assert part_of(Path("magnet.nii")) is None
    assert part_of(Path("t1_image.nii")) is None
    assert volume_name(Path("ABC_MAG.nii.gz")) == "ABC"


def test_real_image_is_read(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "mr_images" / "S0_10slices.nii.gz"
    (tmp_path / "s0_magnitude.nii.gz").symlink_to(source)
    (found,) = find_volumes(tmp_path)
    assert inspect(found).n_slices == 10
    np.testing.assert_allclose(np.abs(read_image(found, 4)), np.squeeze(nibabel.load(source).dataobj)[..., 4].T)
