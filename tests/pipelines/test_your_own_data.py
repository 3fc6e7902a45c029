"""The page on one's own data: its commands do what it says, from a table to a report and scores."""

import re
from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.cli import main
from i2m2_med.config.yaml_source import read_values

PAGE = Path(__file__).parents[2] / "docs" / "your_own_data.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run = ""
    for line in "".join(blocks("sh")).splitlines():
        arguments = [run if word == "RUN" else word for word in line.split()[1:]]
        assert main(arguments) == 0, line
        if arguments[0] == "compare":
            from i2m2_med.engine.tracking.read import list_runs
            from i2m2_med.engine.tracking.store import store_uri
            from i2m2_med.workspace import workspace

            runs = list_runs(store_uri(workspace(), None))
            run = next(one.run_id for one in runs if one.tags.get("paradigm") == "i2m2")
    assert (tmp_path / "comparison" / "report.html").is_file()
    scores = pd.read_parquet(tmp_path / "scores" / "scores.parquet")
    assert set(scores["status"]) == {"ok"}
    assert scores["study"].nunique() == 5


def test_the_config_of_the_page_is_yaml_of_this_source(tmp_path: Path):
    (text,) = blocks("yaml")
    (tmp_path / "page.yaml").write_text(text)
    from i2m2_med.sources.table import Settings

    settings = Settings.model_validate(read_values(str(tmp_path / "page.yaml")).content["source"])
    assert list(settings.modalities) == ["t1", "clinical", "labs", "report", "ecg"]
