"""The checklists: every item is either filled from the run or left to the authors, in the page and beside it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.report.comparison_report import Evidence, write_report
from i2m2_med.report.method import method_of
from i2m2_med.report.pages.checklists import AUTHOR, CHECKLISTS, fill
from tests.report.test_comparison_report import MANIFEST

TRIPOD = "1 2 3a 3b 3c 4 5a 5b 6a 6b 6c 7 8a 8b 8c 9a 9b 9c 10 11 12a 12b 12c 12d 12e 12f 12g 13 14 15 16 17 18a 18b 18c 18d 18e 18f 19 20a 20b 20c 21 22 23a 23b 24 25 26 27a 27b 27c"
STARD = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15a 15b 15c 15d 16a 16b 16c 17a 17b 18 19 20 21 22 23 24 25 26a 26b 27 28 29 30 31 32 33 34 35 36 37 38 39 40a 40b"


def test_every_published_item_is_there_once() -> None:
    assert list(fill("tripod_ai", {})["item"]) == TRIPOD.split()
    assert list(fill("stard_ai", {})["item"]) == STARD.split()


@pytest.mark.parametrize("name", CHECKLISTS)
def test_a_run_that_knows_nothing_fills_nothing(name: str) -> None:
    assert fill(name, {})["from the run"].str.startswith(AUTHOR).all()


def test_what_the_run_knows_stands_in_its_item(make_table: Callable[..., pd.DataFrame], tmp_path: Path) -> None:
    evidence = Evidence(
        tables={("i2m2", 0): make_table()},
        manifest=MANIFEST,
        title="Knee <b>",
        replicates=30,
        synthetic=True,
        method=method_of(load_config("knee_demo")[0]),
        provenance={"Code": "commit abc", "Versions": "torch 9"},
    )
    paths = write_report(tmp_path, evidence).paths
    tripod = pd.read_csv(paths["tripod_ai"], index_col="item")["from the run"]
    assert "test 40 patients (120 samples)" in tripod["10"]
    assert AUTHOR in tripod["10"]
    assert "90 (10 left out: never reviewed <by anyone>)" in tripod["6b"]
    assert "label0: no 60 / yes 60" in tripod["21"]
    assert "magnitude reads magnitude (PreActResNet18)" in tripod["12c"]
    assert "AUROC of I2M2" in tripod["23a"]
    assert tripod["17"] == f"{AUTHOR}."
    assert tripod["18f"].startswith("commit abc")
    assert "Too few patients" in tripod["26"]
    stard = pd.read_csv(paths["stard_ai"], index_col="item")["from the run"]
    assert stard["11"].startswith("Simulated data")
    assert stard["13"].startswith("torch 9")
    page, text = paths["report.html"].read_text(encoding="utf-8"), paths["checklists.md"].read_text(encoding="utf-8")
    assert "Reporting checklists" in page
    assert page.count(AUTHOR) > 30
    assert "&lt;by anyone&gt;" in text
    assert "<b>" not in text


def test_every_config_has_its_method() -> None:
    for name in ("knee_i2m2", "mimic3_demo", "rivals_knee", "table_demo"):
        method = method_of(load_config(name, ["source.root=."])[0])
        assert all(method.values())
