"""From a stranger's table to a config that check accepts."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from i2m2_med.pipelines.check import check_batch, check_networks
from i2m2_med.pipelines.init import main

from i2m2_med.config.reader import load_config
from i2m2_med.errors import ConfigError, UserError
from i2m2_med.simulate.table.write import simulate


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort") / "data"
    simulate(root, patients=40, matrix="16x18x17", missing=0.2, seed=5)
    return root


def test_a_cohort_becomes_a_config_that_check_accepts(cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    told = main(cohort / "cohort.csv", out=tmp_path / "my.yaml")
    assert told["experts"] == ["t1", "report", "labs", "clinical", "joint"]
    assert told["columns"]["diagnosis"] == "label (control, ad)"
    assert told["columns"]["site"] == "subgroup only"
    assert told["columns"]["apoe4"] == "category"
    assert told["columns"]["labs.csv"] == "series 'labs'"
    assert "i2m2 check" in capsys.readouterr().err
    run, _ = load_config(str(tmp_path / "my.yaml"))
    assert check_networks(run) > 0
    counts = check_batch(run, "my")["splits"]
    assert sum(split["samples"] for split in counts.values()) == 40
    text = (tmp_path / "my.yaml").read_text(encoding="utf-8")
    assert text.startswith(f"# i2m2 compare {tmp_path / 'my.yaml'}")
    with pytest.raises(UserError, match="is there already"):
        main(cohort / "cohort.csv", out=tmp_path / "my.yaml")


def test_what_is_no_input_is_left_out_and_said(tmp_path: Path):
    rng = np.random.default_rng(0)
    label = np.arange(60) % 2
    table = pl.DataFrame(
        {
            "mrn": [f"M{number:05d}" for number in range(60)],
            "visit date": ["2150-01-02"] * 30 + ["2150-02-03"] * 30,
            "order_id": list(range(7000, 7060)),
            "dose": rng.normal(size=60).round(2),
            "therapy": np.where(label, "surgery", "none"),
            "always": ["yes"] * 60,
            "grade_of_lesion": label,
        }
    )
    table.write_csv(tmp_path / "t.csv")
    told = main(tmp_path / "t.csv", out=tmp_path / "t.yaml")["columns"]
    assert told["mrn"] == "patient"
    assert told["grade_of_lesion"] == "label (0, 1)"
    assert told["dose"] == "number"
    assert {name for name, role in told.items() if role == "left out"} == {
        "visit date",
        "order_id",
        "therapy",
        "always",
    }
    named = main(tmp_path / "t.csv", out=tmp_path / "u.yaml", label="therapy", patient="order_id")["columns"]
    assert named["therapy"] == "label (none, surgery)"
    assert named["order_id"] == "patient"


def test_what_can_not_be_told_is_asked_for(tmp_path: Path):
    pl.DataFrame({"a": [1.5, 2.5, 2.5] * 9, "b": list(range(27))}).write_csv(tmp_path / "t.csv")
    with pytest.raises(ConfigError, match="--label COLUMN"):
        main(tmp_path / "t.csv", out=tmp_path / "t.yaml", patient="a")
    pl.DataFrame({"a": ["x", "y", "y"] * 9}).write_csv(tmp_path / "u.csv")
    with pytest.raises(ConfigError, match="--patient COLUMN"):
        main(tmp_path / "u.csv", out=tmp_path / "u.yaml")
    assert not (tmp_path / "t.yaml").exists()
