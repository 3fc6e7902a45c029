"""What counts as a study: a folder, a raw file among others, a session of a BIDS subject."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.console import Progress
from i2m2_med.errors import SourceError
from i2m2_med.parts import Part
from i2m2_med.scoring.run import score
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.study_checks import checked_files
from i2m2_med.scoring.study_names import StudyFolder
from i2m2_med.scoring.watch import take_snapshot
from i2m2_med.scoring.workers.engine import local_engine

from .conftest import job_of


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names(where: Path | str) -> list[str]:
    return [study.name for study in find_studies(str(where))]


def test_raw_files_side_by_side_are_a_study_each(tmp_path: Path) -> None:
    touch(tmp_path, "file1.h5", "file2.h5", ".hidden.h5", "notes.txt", "knee/file1.h5")
    assert names(tmp_path) == ["file1", "file2", "knee"]
    assert names(tmp_path / "*.h5") == ["file1", "file2"]
    assert names(tmp_path / "**" / "*.h5") == ["file1.h5", "file2", "knee%2Ffile1.h5"]
    assert names(tmp_path / "knee") == ["knee"]  # one file: the folder is the study, as it was


def test_a_described_study_of_several_files_stays_one(tmp_path: Path) -> None:
    touch(tmp_path / "study", "one.h5", "two.h5", "study.yaml")
    assert names(tmp_path / "study") == ["study"]


def test_sessions_of_a_subject_are_studies(tmp_path: Path) -> None:
    touch(tmp_path, *(f"sub-{subject}/ses-{n}/anat/a_part-mag.nii" for subject in ("01", "02") for n in (1, 2)))
    touch(tmp_path, "sub-03/ses-1/anat/a_part-mag.nii", "sub-04/anat/a_part-mag.nii")
    sessions = ["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1", "sub-02_ses-2"]
    assert names(tmp_path) == [*sessions, "sub-03", "sub-04"]
    assert names(tmp_path / "sub-01") == sessions[:2]
    assert names(tmp_path / "sub-*") == [*sessions, "sub-03", "sub-04"]


def test_no_two_studies_share_a_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.h5", "a/b.nii", "x/a.h5/b.nii")
    (tmp_path / "list.csv").write_text("study\na.h5\na\nx/a.h5\n", encoding="utf-8")
    assert names(tmp_path / "list.csv") == ["a", "a.h5", "x%2Fa.h5"]


def test_a_place_without_studies_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no study folder and no \.h5 file"):
        find_studies(str(tmp_path / "*.h5"))


def test_a_growing_file_is_seen_to_change(tmp_path: Path) -> None:
    touch(tmp_path, "a.h5")
    before = take_snapshot(tmp_path / "a.h5")
    (tmp_path / "a.h5").write_bytes(b"more")
    assert before
    assert take_snapshot(tmp_path / "a.h5") != before


def test_a_file_scores_as_its_folder_does(knee_studies: Path, knee_model: Path, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    for path in sorted(knee_studies.rglob("*.h5"))[:2]:
        shutil.copy(path, tmp_path / "flat")
    (tmp_path / "flat" / "link.h5").symlink_to(tmp_path / "flat" / path.name)
    (tmp_path / "flat" / "bad.h5").write_bytes(b"damaged")
    folders = "[0-9]*".join([str(knee_studies / "knee "), ""])
    tables = {}
    for name, where in (("files", str(tmp_path / "flat")), ("folders", folders)):
        summary = score(
            job_of(knee_model, tmp_path / name), find_studies(where), local_engine(0, 1, 60.0), Part(), Progress()
        )
        tables[name] = pd.read_parquet(tmp_path / name / "scores.parquet")
        if name == "files":
            assert (summary.ok, summary.refused) == (2, 2)
            assert {why.split()[2] for why, _ in summary.reasons} == {"file", "is"}
    files = tables["files"].query("status == 'ok'")
    same = tables["folders"][tables["folders"]["study"].str[-2:].isin(files["study"].str[-2:].unique())]
    assert len(files) == len(same) > 0
    assert files["p"].tolist() == same["p"].tolist()


def refused_or_files(study: StudyFolder) -> str | int:
    """How many files a study has, or why it is refused."""
    try:
        return len(checked_files(study.folder))
    except SourceError as error:
        return str(error)


def test_what_leads_nowhere_or_out_is_a_study_that_is_refused(tmp_path: Path) -> None:
    """A file that was not fetched (git-annex), links in a circle, a subject elsewhere: never left out in silence, never followed."""
    touch(
        tmp_path,
        "there/sub-77/ses-1/image.npy",
        "there/sub-77/ses-2/image.npy",
        "studies/one/image.npy",
        "studies/b.h5",
    )
    for name, target in {
        "sub-77": tmp_path / "there/sub-77",
        "gone": tmp_path / "nowhere",
        "gone.h5": tmp_path / "nowhere.h5",
        "circle": tmp_path / "studies/circle",
    }.items():
        (tmp_path / "studies" / name).symlink_to(target)
    os.mkfifo(tmp_path / "studies/pipe.h5")
    found = {study.name: refused_or_files(study) for study in find_studies(str(tmp_path / "studies"))}
    assert found.pop("one") == found.pop("b") == 1
    assert "no folder" in str(found.pop("pipe.h5"))
    assert set(found) == {"sub-77", "gone", "gone.h5", "circle"}
    assert all("is a link" in str(why) for why in found.values())


def test_a_hidden_file_makes_no_study_of_a_folder_of_studies(tmp_path: Path) -> None:
    touch(tmp_path, "one/image.npy", "two/image.npy", "._one.h5", ".hidden.npy")
    touch(tmp_path, "sub-1/ses-1/a.nii", "sub-1/ses-2/a.nii", "sub-1/._a.nii")
    assert names(tmp_path) == ["one", "sub-1_ses-1", "sub-1_ses-2", "two"]


@pytest.mark.parametrize("where", ["pipe.csv", "nowhere.csv", "x" * 5000, "circle", "circle/**", "a\0b"])
def test_a_place_that_can_not_be_read_is_one_line(where: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(SourceError):
        find_studies(str(tmp_path / where))
