"""`i2m2 show`, `diff` and `predictions` on a small comparison: what a reviewer sees of a run without opening a page."""

from pathlib import Path

import pandas as pd
import pytest
from i2m2_med.pipelines import diff, predictions, runs, show

from i2m2_med.errors import ConfigError


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_a_run_is_a_card(compared, capsys):
    card = show.main(compared.runs["left"])
    shown = capsys.readouterr().out
    assert card["tags"]["paradigm"] == "left"
    assert card["parent"] == compared.parent
    assert "predictions.parquet" in card["files"]
    for word in ("task", "data", "code", "verified", "not yet", "auroc", "nll"):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_comparison_shows_its_runs_and_paradigms(compared, capsys):
    card = show.main(compared.parent)
    shown = capsys.readouterr().out
    assert set(card["runs"]) == set(compared.runs.values())
    assert all(run[:8] in shown for run in compared.runs.values())
    assert "Mean over seeds" in shown


def test_two_runs_differ_in_what_was_set_and_are_paired(compared, capsys):
    left, right = compared.runs["left"], compared.runs["right"]
    there, back = diff.main(left, right), diff.main(right, left)
    assert all(one == other for one, other in there["origins"].values())
    assert "paradigm" in there["settings"]
    rows, opposite = (
        {(row["label"], row["metric"]): row["difference"].split()[0] for row in each["differences"]}
        for each in (there, back)
    )
    assert ("macro", "nll") in rows
    assert all(float(opposite[key]) == pytest.approx(-float(value)) for key, value in rows.items() if value != "–")
    assert "these trained models" in capsys.readouterr().out
    assert diff.main(left, left)["settings"] == {}


def test_predictions_leave_with_their_dictionary(compared, tmp_path: Path):
    made = predictions.main(compared.parent, tmp_path / "all.csv")
    table = pd.read_csv(made["predictions"])
    assert set(table["paradigm"]) == {"left", "right"}
    dictionary = Path(made["dictionary"]).read_text(encoding="utf-8")
    families = {"p_": "p_<expert>", "group_": "group_<name>"}
    for name in table.columns.drop(["paradigm", "seed"]):
        family = next((word for start, word in families.items() if name.startswith(start)), name)
        assert f"`{family}`" in dictionary
    kept = predictions.main(compared.runs["left"], tmp_path / "one.parquet")
    assert kept["rows"] == (table["paradigm"] == "left").sum() == len(pd.read_parquet(tmp_path / "one.parquet"))
    with pytest.raises(ConfigError, match=r"\.csv or \.parquet"):
        predictions.main(compared.parent, tmp_path / "all.xlsx")


def test_runs_are_found_by_task_parent_and_verification(compared, capsys):
    found = runs.main(parent=compared.parent)["runs"]
    assert {run["run"] for run in found} == {compared.parent, *compared.runs.values()}
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert all(run[:8] in shown for run in compared.runs.values())
    assert sum("AUROC 0." in line and "]" in line for line in shown.splitlines()) == 2  # on one line each
    assert set(found[1]["metrics"]) >= {"test/auroc", "test/auroc_low", "test/nll"}
    assert runs.main(task="no such task")["runs"] == []
    assert len(runs.main(task="KNEE", wide=True)["runs"]) == 3
    assert runs.main(verified=True)["runs"] == []
