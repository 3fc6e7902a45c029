"""`i2m2 plan`: what is not prepared is counted, what is prepared is rehearsed, and nothing stays of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from i2m2_med.pipelines import plan as verb

from i2m2_med.cli import main
from i2m2_med.simulate import table


def command(verb: str, tables: Path, *more: str) -> list[str]:
    changes = (f"source.root={tables}", "training.epochs=2", "evaluation.bootstrap=20", "seeds=[0,1]", *more)
    return [verb, "mimic3_demo", *(word for one in changes for word in ("-s", one)), "--json"]


def test_data_that_are_not_prepared_are_counted(tables: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command("plan", tables)) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["prepared"]
    assert 0 < found["bytes"] <= sum(path.stat().st_size for path in tables.iterdir())
    assert set(found["parameters"]) == {"static", "series", "joint"}
    assert not (work / "prepared").exists()


def test_what_training_would_refuse_is_refused_before_anything_is_rehearsed(
    tables: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command("prepare", tables)) == 0
    refused = {
        "training.precision=fp16": "is for a GPU",
        "training.accumulate=999": "take fewer",
        "training.mode=stacked": "has none",
        "training.mode=ogm-ge": "is alone",
        "evaluation.prior={nobody: [0.5, 0.5]}": "nobody",
        **({} if torch.cuda.is_available() else {"training.device=cuda": "asks for GPU 0"}),
    }
    for setting, why in refused.items():
        capsys.readouterr()
        assert main(command("plan", tables, setting)) == 1
        said = capsys.readouterr()
        assert why in json.loads(said.out)["error"]
        assert "rehearsing" not in said.err
    manifest = next((work / "prepared").glob("*/manifest.json"))
    content = json.loads(manifest.read_text(encoding="utf-8"))
    content["splits"]["valid"]["patients"] = 1
    manifest.write_text(json.dumps(content), encoding="utf-8")
    for asked in ("plan", "compare", "train"):
        capsys.readouterr()
        assert main(command(asked, tables)) == 1
        assert "the valid split holds one patient" in json.loads(capsys.readouterr().out)["error"]


def test_a_plan_fills_no_cache_of_the_workspace(
    tmp_path: Path, work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table.simulate(tmp_path / "table", patients=40, matrix="16x16x16")
    settings = [f"source.root={tmp_path / 'table'}", "modalities.cache=disk"]
    asked = ["table_demo", *(word for one in settings for word in ("-s", one)), "--json"]
    assert main(["prepare", *asked]) == 0
    before = sorted(work.rglob("*"))
    capsys.readouterr()
    monkeypatch.setattr(verb, "machine_memory", lambda: 2**27)  # samples are read, then nothing is rehearsed
    assert main(["plan", *asked]) == 0
    assert min(json.loads(capsys.readouterr().out)["activations"].values()) > 0
    assert sorted(work.rglob("*")) == before


def test_a_plan_leaves_the_workspace_as_it_was_and_says_what_will_be_there(
    tables: Path, work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(command("prepare", tables)) == 0
    capsys.readouterr()
    before = sorted(path for path in work.rglob("*"))
    assert main(command("plan", tables)) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert sorted(path for path in work.rglob("*")) == before
    assert found["fits"]
    assert found["commands"]["compare"]["seconds"] > found["commands"]["train"]["seconds"] > 0
    assert found["commands"]["compare"]["trainings"] == 2 * len(
        {name for one in found["stages"] for name in one["paradigms"]}
    )
    assert all(one["step_seconds"] > 0 and one["activations"] > 0 for one in found["experts"])
    monkeypatch.setattr(verb, "machine_memory", lambda: found["memory"])  # a machine as large as that is 10 % too small
    assert main(command("plan", tables)) == 0
    again = json.loads(capsys.readouterr().out)
    assert not again["fits"]
    monkeypatch.setattr(verb, "machine_memory", lambda: 2**27)  # less than Python takes with torch
    assert main(command("plan", tables)) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["makes_it_fit"] is None
    assert "no setting of training helps" in said.err
    assert said.err.strip().endswith("nothing was rehearsed")
