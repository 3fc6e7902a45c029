"""`i2m2 diagnose`, `report` and `evaluate --shifts` on a small comparison of simulated MIMIC-III."""

import json
from pathlib import Path

import pandas as pd
import pytest
from i2m2_med.pipelines import compare, diagnose, evaluate, report

from i2m2_med.errors import ConfigError, ModelError
from i2m2_med.simulate.mimic3 import write as mimic3

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> dict:
    """I2M2 and one unimodal paradigm, two epochs; run ids, data, and a model folder."""
    folder = tmp_path_factory.mktemp("diagnosed")
    mimic3.simulate(folder / "data", patients=250, seed=4)
    settings = {
        "source.root": folder / "data",
        "training.epochs": 2,
        "evaluation.bootstrap": 50,
        "evaluation.primary": "null",
        "paradigms.unimodal_series.experts": ["series"],
        "paradigms.i2m2.experts": ["static", "series", "joint"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("I2M2_WORK", str(folder / "work"))
        made = compare.main("mimic3_demo", set_=tuple(f"{key}={value}" for key, value in settings.items()))
        found = diagnose.main(made["run"], out=folder / "diagnosis")
    return made | {"data": folder / "data", "work": folder / "work", "diagnosis": found}


@pytest.fixture(autouse=True)
def workspace(compared, monkeypatch) -> None:
    """The comparison's."""
    monkeypatch.setenv("I2M2_WORK", str(compared["work"]))


@pytest.fixture
def diagnosed(compared) -> dict:
    return compared["diagnosis"]


def test_a_diagnosis_ends_in_a_sentence_and_a_page(diagnosed):
    assert diagnosed["verdict"].startswith("together ")
    assert "; net interaction " in diagnosed["verdict"]
    json.dumps(diagnosed, allow_nan=False)
    page = Path(diagnosed["report"])
    for name in (
        "interaction",
        "dependence",
        "conditions",
        "subsets",
        "shares",
        "decomposition",
        "conflict",
        "conflicts",
    ):
        assert len(pd.read_csv(page.with_name(f"{name}.csv"))), name


def test_a_page_names_nobody(diagnosed, compared):
    patients = pd.read_csv(compared["data"] / "PATIENTS.csv.gz")["SUBJECT_ID"].astype(str)
    conflicts = pd.read_csv(Path(diagnosed["report"]).with_name("conflicts.csv"), dtype=str)
    assert not set(conflicts["study"]) & set(patients)


def test_a_model_folder_is_diagnosed_with_its_data(compared, tmp_path):
    model = next(compared["work"].glob("runs/compare-*/i2m2-0/model"))
    found = diagnose.main(str(model), root=compared["data"], out=tmp_path)
    assert found["verdict"]
    with pytest.raises(ConfigError, match="--root"):
        diagnose.main(str(model), out=tmp_path)
    mimic3.simulate(tmp_path / "other", patients=120, seed=5)
    with pytest.raises(ModelError, match="not those the model was trained on"):
        diagnose.main(str(model), root=tmp_path / "other", out=tmp_path / "none")


def test_one_modality_has_nothing_between(compared):
    with pytest.raises(ConfigError, match="reads series only"):
        diagnose.main(compared["run"], paradigm="unimodal_series")
    with pytest.raises(ConfigError, match="no finished model of the paradigm 'inter'"):
        diagnose.main(compared["run"], paradigm="inter")


def test_a_report_made_again_has_the_same_rows(compared, tmp_path):
    again = report.main(compared["run"], out=tmp_path)
    assert [row for row in again["rows"] if row["label"] != "macro"] == [
        row for row in compared["rows"] if row["label"] != "macro"
    ]
    with pytest.raises(ConfigError, match="--metric auc"):
        report.main(compared["run"], metric="auc", out=tmp_path)


def test_severity_curves_start_unshifted(compared, tmp_path):
    found = evaluate.main(compared["run"], shifts="mimic3", out=tmp_path)
    json.dumps(found, allow_nan=False)
    table = pd.read_csv(tmp_path / "shifts.csv")
    assert set(table["shift"]) == {"sensors_dropped", "thinned", "unit_errors", "last_hours_missing"}
    none = table[(table["step"] == 0) & (table["who"] == "model") & (table["metric"] == "auroc")]["value"]
    plain = next(row["value"] for row in found["rows"] if row["metric"] == "auroc")
    assert none.to_numpy() == pytest.approx(plain)
    assert {"static", "series", "joint"} < set(table["who"])
    assert "notes_truncated was left out" in (tmp_path / "shifts.html").read_text(encoding="utf-8")


def test_a_suite_for_another_track_is_one_line(compared, tmp_path):
    with pytest.raises(ConfigError, match="not for data of 'mimic3'"):
        evaluate.main(compared["run"], shifts="fastmri", out=tmp_path)
