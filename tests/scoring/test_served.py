"""The served model gives the rows of `i2m2 score`."""

import base64
import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.scoring.served import Scorer

from .test_run import score_all


@pytest.fixture(scope="module")
def scorer(digits_model: Path) -> Scorer:
    """A served model."""
    return Scorer(digits_model)


def packed(folder: Path, **more: bytes) -> str:
    """A study folder as a base64 zip."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
        for name, content in more.items():
            archive.writestr(name.replace("SLASH", "/").replace("DOTS", ".."), content)
    return base64.b64encode(held.getvalue()).decode()


def test_served_rows_are_the_scored_rows(
    scorer: Scorer, digits_studies: Path, digits_model: Path, tmp_path: Path
) -> None:
    score_all(digits_studies, digits_model, tmp_path)
    scored = pd.read_parquet(tmp_path / "scores.parquet")
    folders = sorted(digits_studies.iterdir())
    by_name = scorer(pd.DataFrame({"study": [str(folder) for folder in folders]}))
    by_archive = scorer(
        pd.DataFrame({"study": [f.name for f in folders], "archive": [packed(folder) for folder in folders]})
    )
    said = [name for name in scored.columns if name not in {"model", "seconds"}]
    pd.testing.assert_frame_equal(by_name[said], scored[said], check_dtype=False)
    pd.testing.assert_frame_equal(by_archive[said], scored[said], check_dtype=False)


@pytest.mark.parametrize("archive", ["no base64!", base64.b64encode(b"no zip").decode(), ""])
def test_what_is_no_study_is_refused(scorer: Scorer, archive: str) -> None:
    table = scorer(pd.DataFrame({"archive": [archive]}))
    assert table["status"].tolist() == ["refused"]
    assert table["label"].isna().all()


def test_an_archive_does_not_leave_its_folder(scorer: Scorer, digits_studies: Path) -> None:
    archive = packed(digits_studies / "study00", DOTSSLASHDOTSSLASHout=b"x")
    assert scorer(pd.DataFrame({"archive": [archive]}))["error"].str.contains("leaves the study folder").all()
