"""Where code came from: what git can't tell is unknown and never clean, and only code makes a checkout dirty."""

import json
import subprocess
from pathlib import Path

import pytest

from i2m2_med import revision
from i2m2_med.revision import UNKNOWN, baked_revision, checkout_revision, given_revision


def run_git(project: Path, *words: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    return subprocess.check_output(["git", "-C", str(project), *settings, *words], text=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clean checkout of a package of one module."""
    (tmp_path / "i2m2_med").mkdir()
    (tmp_path / "i2m2_med" / "a.py").write_text("a = 1\n", encoding="utf-8")
    (tmp_path / "requirements.lock").write_text("a==1\n", encoding="utf-8")
    run_git(tmp_path, "init", "-q")
    run_git(tmp_path, "add", "-A")
    run_git(tmp_path, "commit", "-q", "-m", "a")
    return tmp_path


def test_a_clean_checkout_names_its_commit(project):
    known = checkout_revision(project)
    assert known["commit"] == run_git(project, "rev-parse", "HEAD").strip()
    assert known["dirty"] == "false"
    assert len(known["lock_sha256"]) == 64


@pytest.mark.parametrize(
    "name", ["data/slices.h5", "comparison/report.html", "notes.py", "i2m2_med/picture.png", "ä b.csv"]
)
def test_untracked_files_that_are_no_code_do_not_make_it_dirty(project, name):
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("x", encoding="utf-8")
    assert checkout_revision(project)["dirty"] == "false"


@pytest.mark.parametrize(
    "name", ["i2m2_med/ä b.py", "i2m2_med/sources/new.py", "pipelines/new.py", "configs/runs/new.yaml"]
)
def test_untracked_code_makes_it_dirty(project, name):
    (project / name).parent.mkdir(exist_ok=True, parents=True)
    (project / name).write_text("x", encoding="utf-8")
    assert checkout_revision(project)["dirty"] == "true"


def test_changed_renamed_and_deleted_files_make_it_dirty(project):
    (project / "i2m2_med" / "a.py").rename(project / "i2m2_med" / "b.py")
    assert checkout_revision(project)["dirty"] == "true"
    run_git(project, "add", "-A")
    assert checkout_revision(project)["dirty"] == "true"


def test_what_git_refuses_is_unknown_and_not_clean(project, monkeypatch):
    (project / ".git" / "HEAD").write_text("damaged", encoding="utf-8")
    assert {checkout_revision(project)[key] for key in ("commit", "dirty")} == {UNKNOWN}
    monkeypatch.setenv("PATH", "/nowhere")
    assert {checkout_revision(project)[key] for key in ("commit", "dirty")} == {UNKNOWN}


def test_dubious_ownership_is_unknown(project, monkeypatch):
    monkeypatch.setattr(revision.os, "environ", {**revision.os.environ, "HOME": str(project)})
    answers = checkout_revision(project)
    assert answers["dirty"] == "false"
    real = subprocess.run
    stranger = ["env", "GIT_TEST_ASSUME_DIFFERENT_OWNER=1"]  # git's own switch: as if another user owned the folder
    monkeypatch.setattr(revision.subprocess, "run", lambda command, **more: real([*stranger, *command], **more))
    assert {checkout_revision(project)[key] for key in ("commit", "dirty")} == {UNKNOWN}


def test_another_repository_named_in_the_environment_is_not_asked(project, monkeypatch, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    run_git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert checkout_revision(project)["dirty"] == "false"


def test_without_git_and_without_a_baked_file_all_is_unknown(tmp_path):
    assert checkout_revision(tmp_path) is None
    assert set(baked_revision(tmp_path / "revision.json").values()) == {UNKNOWN}
    (tmp_path / "revision.json").write_text(json.dumps({"commit": "c"}), encoding="utf-8")
    assert baked_revision(tmp_path / "revision.json") == {"commit": "c", "dirty": UNKNOWN, "lock_sha256": UNKNOWN}


@pytest.mark.parametrize(
    ("named", "expected"),
    [("", None), ("unknown", None), ("abc", ("abc", "false")), ("abc-dirty", ("abc", "true"))],
)
def test_a_build_may_name_its_commit(tmp_path, named, expected):
    given = given_revision(tmp_path, {"I2M2_COMMIT": named} if named else {})
    assert (given and (given["commit"], given["dirty"])) == expected


def test_the_hash_covers_code_pipelines_configs_and_data():
    names = dict(revision.source_files())
    wanted = {"model.py", "pipelines/train.py", "configs/published.yaml", "sources/mimic3/source.py"}
    assert wanted <= set(names)
    assert not {name for name in names if "__pycache__" in name or name == revision.BAKED}
    assert any(name.endswith(".csv") for name in names)
