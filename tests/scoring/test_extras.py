"""What is written beside a study's rows lies where the study's images lie."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from i2m2_med.console import Progress
from i2m2_med.parts import Part
from i2m2_med.scoring.extras import origin
from i2m2_med.scoring.job import Job, model_hash
from i2m2_med.scoring.run import Summary, score
from i2m2_med.scoring.studies import find_studies
from i2m2_med.sources.formats.nifti import MADE_UP, NOMINAL

from .conftest import untrained
from .test_run import HERE, contents

EXTRAS = ("magnitude", "picture", "saliency")


def score_with(extras: tuple[str, ...], model: Path, studies: Path, out: Path) -> Summary:
    job = Job(model, "m", model_hash(model), out, extras=extras)
    return score(job, find_studies(str(studies)), HERE, Part(), Progress())


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_saliency_overlays_the_magnitude(knee_model: Path, knee_studies: Path, tmp_path: Path) -> None:
    """The model sees a crop or a padded image: voxel centres of both files fall on each other in space."""
    study = tmp_path / "studies" / "one"
    shutil.copytree(knee_studies / "knee 01", study)
    assert score_with(EXTRAS, knee_model, study.parent, tmp_path / "out").ok == 1
    folder = tmp_path / "out" / "extras" / "one"
    magnitude = nibabel.load(folder / "magnitude.nii.gz")
    maps = sorted(folder.glob("saliency_*.nii.gz"))
    assert len(maps) == 3 * 4
    assert (folder / "picture.png").stat().st_size > 1000
    saliency = nibabel.load(maps[0])
    for image in (magnitude, saliency):
        assert str(image.header["descrip"].astype(str)) == f"{NOMINAL}, {MADE_UP}"
    assert saliency.shape == (64, 64, 3)
    assert np.isfinite(saliency.get_fdata()).all()
    apart = np.linalg.inv(magnitude.affine) @ saliency.affine
    expected = [origin(46, 64) - origin(46, magnitude.shape[0]), origin(64, 64) - origin(64, magnitude.shape[1]), 0]
    np.testing.assert_allclose(apart[:3, 3], expected, atol=1e-5)
    np.testing.assert_allclose(apart[:3, :3], np.eye(3), atol=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_nifti_study_keeps_its_own_affine(tmp_path: Path) -> None:
    study = tmp_path / "studies" / "one"
    study.mkdir(parents=True)
    turned = np.array([[0, 0.7, 0, 5], [0.6, 0, 0, -7], [0, 0, 3, 1], [0, 0, 0, 1]])
    pixels = np.random.default_rng(0).random((81, 70, 2)).astype(np.float32)
    for part, values in (("magnitude", pixels), ("phase", pixels * 2 - 1)):
        nibabel.save(nibabel.Nifti1Image(values, turned), study / f"{part}.nii.gz")
    (study / "phase.json").write_text('{"Units": "rad"}', encoding="utf-8")
    model = untrained("knee_demo", tmp_path / "model", (f"source.root={tmp_path}",))
    assert score_with(EXTRAS, model, study.parent, tmp_path / "out").ok == 1
    assert not nibabel.load(tmp_path / "out" / "extras" / "one" / "magnitude.nii.gz").header["descrip"]
    magnitude = nibabel.load(tmp_path / "out" / "extras" / "one" / "magnitude.nii.gz")
    written, given = map(nibabel.as_closest_canonical, (magnitude, nibabel.Nifti1Image(pixels, turned)))
    np.testing.assert_allclose(written.affine, given.affine, atol=1e-5)  # the same place, in whatever order
    np.testing.assert_allclose(written.get_fdata(), given.get_fdata(), atol=1e-5)
    saliency = nibabel.load(next((tmp_path / "out" / "extras" / "one").glob("saliency_*.nii.gz")))
    apart = np.linalg.inv(magnitude.affine) @ saliency.affine
    np.testing.assert_allclose(apart[:3, 3], [(n - 64) // 2 for n in magnitude.shape[:2]] + [0], atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_dicom_study_gets_a_structured_report(digits_model: Path, digits_studies: Path, tmp_path: Path) -> None:
    import pydicom
    from pydicom.data import get_testdata_file

    study = tmp_path / "studies" / "one"
    shutil.copytree(digits_studies / "study00", study)
    shutil.copy(str(get_testdata_file("MR_small.dcm", download=False)), study / "image.dcm")
    score_with(("dicom",), digits_model, study.parent, tmp_path / "out")
    report = pydicom.dcmread(tmp_path / "out" / "extras" / "one" / "report.dcm")
    image = pydicom.dcmread(study / "image.dcm")
    assert report.Modality == "SR"
    assert report.StudyInstanceUID == image.StudyInstanceUID
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
    score_with(("dicom",), digits_model, study.parent, tmp_path / "again")
    assert contents(tmp_path / "again" / "extras" / "one") == contents(tmp_path / "out" / "extras" / "one")
