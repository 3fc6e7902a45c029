"""The pages on one's own data: their commands do what they say, from a table to a report and scores."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.config.yaml_source import read_values
from tests.pipelines.pages import blocks, follow


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    follow("".join(blocks("your_own_data.md", "sh")))
    assert (tmp_path / "comparison" / "report.html").is_file()
    scores = pd.read_parquet(tmp_path / "scores" / "scores.parquet")
    assert set(scores["status"]) == {"ok"}
    assert scores["study"].nunique() == 5


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_page_on_other_tools_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (config,) = blocks("from_other_tools.md", "yaml")
    (tmp_path / "table_and_image.yaml").write_text(config, encoding="utf-8")
    follow("".join(blocks("from_other_tools.md", "sh")))
    assert (tmp_path / "from_init" / "report.html").is_file()
    compared = pd.read_parquet(tmp_path / "by_config" / "comparison.parquet")
    assert {"unimodal_t1", "unimodal_clinical", "intra", "inter", "i2m2"} == set(compared["paradigm"])


def test_the_config_beside_other_tools_is_shorter_than_theirs():
    (ours,) = blocks("from_other_tools.md", "yaml")
    (_, fusilli) = blocks("from_other_tools.md", "text")
    assert len(ours.strip().splitlines()) < len(fusilli.strip().splitlines())


def test_the_config_of_the_page_is_yaml_of_this_source(tmp_path: Path):
    (text,) = blocks("your_own_data.md", "yaml")
    (tmp_path / "page.yaml").write_text(text, encoding="utf-8")
    from i2m2_med.sources.table import Settings

    settings = Settings.model_validate(read_values(str(tmp_path / "page.yaml")).content["source"])
    assert list(settings.modalities) == ["t1", "clinical", "labs", "report", "ecg", "scan"]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_questions_about_pictures_become_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_data: Path):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shared_data / "vqa_rad" / "input", tmp_path / "vqa_rad" / "input")
    (convert,) = blocks("pictures_and_text.md", "python")
    exec(compile(convert, "pictures_and_text.md", "exec"), {})
    asked = pd.read_csv("vqa_rad/input/questions.csv")
    assert asked.groupby("picture_path")["case"].nunique().max() == 1
    assert set(asked["answer"]) == {"yes", "no"}
    (commands,) = blocks("pictures_and_text.md", "sh")
    follow(commands)  # check refuses a file of two patients and a row that stands twice: both are in the raw data
