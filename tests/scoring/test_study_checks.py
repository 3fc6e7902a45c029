"""Study folders, archives and models from strangers."""

import gzip
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from i2m2_med.errors import ConfigError, ModelError, SourceError
from i2m2_med.scoring import study_checks as guard
from i2m2_med.scoring.open_model import open_model
from i2m2_med.scoring.results import defused
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.study_checks import checked_files, content_hash
from i2m2_med.scoring.study_names import StudyFolder, printable
from i2m2_med.sources.formats.description import read_description
from tests.scoring.test_run import contents, score_all


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study with a file in a folder."""
    folder = tmp_path / "study"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "1.txt").write_text("x", encoding="utf-8")
    return folder


def test_links_inside_a_study_are_read_and_others_refused(study: Path, tmp_path: Path) -> None:
    (study / "again.txt").symlink_to("notes/1.txt")
    assert len(checked_files(study)) == 2
    for target in ("/etc/passwd", "../outside.txt", "notes", "."):
        (tmp_path / "outside.txt").write_text("x", encoding="utf-8")
        (study / "out").symlink_to(target)
        with pytest.raises(SourceError, match="a link in the study points"):
            checked_files(study)
        (study / "out").unlink()


def test_what_is_no_file_is_refused(study: Path) -> None:
    os.mkfifo(study / "pipe")
    with pytest.raises(SourceError, match="no file"):
        checked_files(study)


def test_bombs_are_refused(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_UNPACKED", 2**20)
    (study / "bomb.nii.gz").write_bytes(gzip.compress(bytes(2**21)))
    with pytest.raises(SourceError, match="unpacks to more"):
        checked_files(study)


def test_a_file_of_text_has_a_largest_size(study: Path) -> None:
    with (study / "series.csv").open("wb") as file:
        file.truncate(guard.MAX_TEXT + 1)  # sparse: nothing is written
    with pytest.raises(SourceError, match="GiB"):
        checked_files(study)


def test_content_is_names_and_bytes(study: Path, tmp_path: Path) -> None:
    first = content_hash(study, checked_files(study))
    moved = Path(shutil.copytree(study, tmp_path / "elsewhere"))
    assert content_hash(moved, checked_files(moved)) == first
    (moved / "notes" / "1.txt").rename(moved / "notes" / "2.txt")
    assert content_hash(moved, checked_files(moved)) != first


@pytest.mark.parametrize(
    "name", ["a\nb", "..", "a/../b", "x\x00y", "e\u202evil", "\udcff", "-rf", ".hidden", "é" * 300]
)
def test_every_name_becomes_a_safe_one(name: str) -> None:
    safe = printable(f"{name}\ud800")
    assert safe.isprintable()
    assert "/" not in safe
    assert len(safe.encode()) <= 120
    assert not safe.startswith((".", "-"))


def test_two_studies_never_share_a_name(tmp_path: Path) -> None:
    for folder in ("a/1", "b/1", "c/2"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "list.csv").write_text("study\na/1\nb/1\nc/2\nc/2\n", encoding="utf-8")
    names = [study.name for study in find_studies(str(tmp_path / "list.csv"))]
    assert names == ["2", "a%2F1", "b%2F1"]
    assert find_studies(str(tmp_path / "*" / "2")) == [StudyFolder("2", tmp_path / "c/2")]
    pd.DataFrame({"path": ["c/2"]}).to_parquet(tmp_path / "list.parquet")
    assert [study.name for study in find_studies(str(tmp_path / "list.parquet"))] == ["2"]


def test_no_cell_is_a_formula(digits_studies: Path, digits_model: Path, tmp_path: Path) -> None:
    for evil in ("=1+1", "@SUM(1)", "+1", "-1", "\t=1"):
        assert defused(evil).startswith("'")
    shutil.copytree(digits_studies / "study00", tmp_path / "studies" / "=HYPERLINK(A1)")
    score_all(tmp_path / "studies", digits_model, tmp_path / "out")
    assert set(pd.read_csv(tmp_path / "out" / "scores.csv")["study"]) == {"'=HYPERLINK(A1)"}


def edited(model: Path, target: Path, **change: object) -> Path:
    """A model folder whose config says something else."""
    shutil.copytree(model, target)
    config = yaml.safe_load((target / "config.yaml").read_text(encoding="utf-8"))
    (target / "config.yaml").write_text(yaml.safe_dump(config | change), encoding="utf-8")
    return target


def test_a_models_config_runs_nothing_that_is_not_listed(digits_model: Path, tmp_path: Path) -> None:
    network = {"_target_": "os.system", "command": "touch here"}
    evil = {name: {"reads": ["image"], "network": network} for name in ("image", "audio", "joint")}
    with pytest.raises((ModelError, ConfigError), match=r"os\.system"):
        open_model(str(edited(digits_model, tmp_path / "system", experts=evil)))
    with pytest.raises(ModelError, match="--trust os"):
        open_model(str(edited(digits_model, tmp_path / "plugins", plugins=["os."])))
    with pytest.raises((ModelError, ConfigError)):
        open_model(str(edited(digits_model, tmp_path / "dollar", combiner={"_target_": "$__import__('os')"})))


def test_a_pickle_is_not_opened(digits_model: Path, tmp_path: Path, digits_studies: Path) -> None:
    target = tmp_path / "model"
    shutil.copytree(digits_model, target)
    (target / "weights.safetensors").write_bytes(b"\x80\x04\x95cos\nsystem\n(S'touch here'\ntR.")
    with pytest.raises(ModelError):
        score_all(digits_studies, target, tmp_path / "out")
    study = tmp_path / "studies" / "one"
    study.mkdir(parents=True)
    np.save(study / "image.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    summary = score_all(tmp_path / "studies", digits_model, tmp_path / "out2")
    assert summary.refused == 1


def test_nothing_is_written_beside_out(digits_studies: Path, digits_model: Path, tmp_path: Path) -> None:
    study = tmp_path / "studies" / "x..%2F..%2Fout\nside"
    shutil.copytree(digits_studies / "study00", study)
    before = sorted(path.name for path in tmp_path.iterdir())
    score_all(tmp_path / "studies", digits_model, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "out"])
    assert len(contents(tmp_path / "out")) == 3
    assert json.loads(next((tmp_path / "out").glob("studies/*.json")).read_text(encoding="utf-8"))["status"] == "ok"


@pytest.mark.parametrize("config", ["!!python/object/apply:os.getcwd []", "a: [", "- 1\n- 2", "7", "", "\x00"])
def test_a_config_that_is_none_is_one_line(digits_model: Path, tmp_path: Path, config: str) -> None:
    shutil.copytree(digits_model, tmp_path / "model")
    (tmp_path / "model" / "config.yaml").write_text(config, encoding="utf-8")
    with pytest.raises(ModelError, match=r"^[^\n]*config[^\n]*$"):
        open_model(str(tmp_path / "model"))


BOMBS = {
    "depth": "[" * 100_000,
    "depth in an object": '{"a":' * 100_000,
    "closed depth": '{"a": ' + "[" * 900 + "]" * 900 + "}",
    "a long number": f'{{"patterns": {"9" * 6000}}}',
    "a number that no float holds": f'{{"patterns": {"9" * 4000}, "seed": {"9" * 400}}}',
    "no number": '{"patterns": NaN, "x": Infinity}',
    "infinite": '{"patterns": {"a": 1e400}}',
    "a large file": '{"a": "' + "x" * (33 * 2**20) + '"}',
    "half a sign": '{"\\ud800": {"mean": "\\ud800"}, "patterns": "\\ud800"}',
}
ODD_FACTS = [
    '{"labels": ["\\u001b[2J"]}',
    '{"labels": ["\\ud800"]}',
    '{"labels": [7]}',
    '{"labels": []}',
    '{"labels": "digit"}',
    '{"classes": ["one"]}',
    '{"classes": [null, {}]}',
    '{"seed": "0"}',
    '{"seed": 9999999999999999999999}',
    '{"shares": [[1, 2], [3]]}',
    '{"shares": "x"}',
    '{"shares": [["x"]]}',
    '{"envelope": []}',
    '{"envelope": {"image": []}}',
    '{"envelope": {"image": {"rms": [0]}}}',
    '{"envelope": {"image": {"rms": ["a", "b"]}}}',
]
"""Of `model.json`."""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("model.json", content) for content in ("{}", "[]", "{", '{"paradigm": 1}')),
        *(("state.json", content) for content in ("[]", "x", '{"image": []}', '{"image": {"mean": [0], "std": [0]}}')),
        *(("calibration.json", content) for content in ("[]", '{"patterns": 1}', '{"patterns": {"audio": {}}}')),
        *((f"{name}.json", content) for name in ("model", "state", "calibration") for content in BOMBS.values()),
        *(("about", change) for change in ODD_FACTS),
        ("paradigm", "another"),
    ],
)
def test_a_model_file_that_is_none_is_one_line(
    digits_model: Path, digits_studies: Path, tmp_path: Path, name: str, content: str
) -> None:
    shutil.copytree(digits_model, tmp_path / "model")
    if name in ("paradigm", "about"):
        about = json.loads((digits_model / "model.json").read_text(encoding="utf-8"))
        change = {"paradigm": content} if name == "paradigm" else json.loads(content)
        name, content = "model.json", json.dumps(about | change)
    (tmp_path / "model" / name).write_text(content, encoding="utf-8")
    began = time.process_time()
    with pytest.raises(ModelError, match=r"^[^\n]{1,500}$"):
        score_all(digits_studies, open_model(str(tmp_path / "model")).folder, tmp_path / "out")
    assert time.process_time() - began < 20  # not minutes: what is hostile costs no more than what is not


@pytest.mark.parametrize(
    "text", ["a: b\na: c", '"\\e[31m": a.h5', 'k: "a\\nb"', f"{'k' * 2_000}: a.h5", 'k: "\\u202e"']
)
def test_a_description_that_says_two_things_or_holds_signs_is_refused(text: str, tmp_path: Path):
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=r"^study\.yaml [^\n\x1b]{1,200}$"):
        read_description(tmp_path)
