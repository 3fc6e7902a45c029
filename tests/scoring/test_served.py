"""The served model gives the rows of `i2m2 score`."""

import base64
import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.errors import SourceError, UserError
from i2m2_med.scoring.served import Scorer

from .test_run import score_all


@pytest.fixture(scope="module")
def scorer(digits_model: Path, digits_studies: Path) -> Scorer:
    """A served model that opens the study folders."""
    return Scorer(digits_model, digits_studies)


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
    by_name = scorer(
        pd.DataFrame({"study": [str(folder) if number % 2 else folder.name for number, folder in enumerate(folders)]})
    )
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


def zipped(*members: tuple[str, bytes]) -> str:
    """A base64 zip of names and contents."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return base64.b64encode(held.getvalue()).decode()


HOSTILE = {
    "a file where a folder is needed": {"archive": zipped(("a", b"x"), ("a/b", b"x"))},
    "a folder where a file is needed": {"archive": zipped(("a/b", b"x"), ("a", b"x"))},
    "a name twice": {"archive": zipped(("a.npy", b"x"), ("./a.npy", b"y"))},
    "a name of 300 characters": {"archive": zipped(("x" * 300, b"x"))},
    "300 folders": {"archive": zipped(("a/" * 300 + "b", b"x"))},
    "a name that is a dot": {"archive": zipped((".", b"x"))},
    "no zip": {"archive": base64.b64encode(b"PK\x05\x06" + b"\xff" * 30).decode()},
    "a study of 5,000 characters": {"study": "x" * 5000},
    "a study with NUL": {"study": "a\0b"},
    "a study that is half a sign": {"study": "\ud800"},
    "a number": {"study": 7},
    "nothing": {},
    "a folder outside": {"study": "/etc"},
    "a way out": {"study": "../digits0"},
    "a way out and back": {"study": "study00/../../../etc"},
    "the root": {"study": "."},
    "a file": {"study": "study00/image.npy"},
    "an archive of 5,000 characters' name": {"study": "y" * 5000, "archive": "x"},
}


def test_a_bad_row_loses_no_other(scorer: Scorer) -> None:
    good = {"study": "study00"}
    rows = [good, *HOSTILE.values(), good]
    table = scorer(pd.DataFrame([{"study": row.get("study"), "archive": row.get("archive")} for row in rows]))
    refused = table[table["status"] == "refused"]
    assert len(refused) == len(HOSTILE)
    assert refused["error"].str.len().between(10, 300).all()
    assert not refused["error"].str.contains("not foreseen|Error|etc|digits").any()
    alone = scorer(pd.DataFrame([good]))
    assert (table["status"] == "ok").sum() == 2 * len(alone)
    assert set(alone["status"]) == {"ok"}


def test_a_server_without_a_root_opens_no_folder(digits_model: Path, digits_studies: Path) -> None:
    study = digits_studies / "study00"
    table = Scorer(digits_model)(pd.DataFrame({"study": [str(study), study.name], "archive": ["", packed(study)]}))
    assert table["status"].tolist() == ["refused", *["ok"] * (len(table) - 1)]
    assert len(table) > 1
    assert "I2M2_STUDIES" in table["error"].iloc[0]
    with pytest.raises(UserError, match="is no folder"):
        Scorer(digits_model, study / "nowhere")


def test_a_link_below_the_root_leads_nowhere(digits_model: Path, digits_studies: Path, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out").symlink_to(digits_studies)
    table = Scorer(digits_model, tmp_path / "root")(pd.DataFrame({"study": ["out/study00"]}))
    assert table["error"].str.contains("outside of those that this server opens").all()


def test_a_table_without_the_columns_is_an_error(scorer: Scorer) -> None:
    with pytest.raises(SourceError, match="neither a column 'study'"):
        scorer(pd.DataFrame({"folder": ["study00"]}))
    assert len(scorer(pd.DataFrame({"study": []}))) == 0
