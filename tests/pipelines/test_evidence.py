"""What a user asks of evidence, and what may not be asked, through the command line on simulated MIMIC-III."""

import json
from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.cli import main
from i2m2_med.simulate.mimic3 import write as mimic3

pytestmark = pytest.mark.slow

SHORT = (
    "seeds=[0]",
    "training.epochs=1",
    "evaluation.bootstrap=50",
    "evaluation.primary=null",
    "paradigms.i2m2.experts=[static,series,joint]",
)


def words(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("-s", setting)]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evidence") / "data"
    mimic3.simulate(folder, patients=250, seed=4)
    return folder


@pytest.fixture(scope="module")
def away(data, tmp_path_factory) -> dict:
    """A comparison that never saw MetaVision, with the workspace it lies in."""
    folder = tmp_path_factory.mktemp("away")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("I2M2_WORK", str(folder / "work"))
        from i2m2_med.pipelines.compare import main as compare

        settings = (*SHORT, f"source.root={data}", "evaluation.prior.icd9_7=[0.9,0.1]")
        made = compare("mimic3_left_out", set_=settings, out=folder / "report")
    return made | {"work": folder / "work", "out": folder / "report"}


def test_a_database_is_left_out_and_held_against_the_rest(away):
    predictions = pd.read_parquet(next(away["work"].glob("runs/*/i2m2-0/predictions.parquet")))
    by_split = predictions.groupby("split")["group_source"].unique().map(set).to_dict()
    assert by_split == {"valid": {"carevue"}, "test": {"metavision"}, "rest": {"carevue"}}
    table = pd.read_csv(away["out"] / "left_out.csv")
    assert set(table["who"]) == {"left out", "rest", "left out − rest"}
    page = (away["out"] / "report.html").read_text(encoding="utf-8")
    assert "Left out: source = metavision" in page
    assert "ideal observer" in page
    assert "icd9_7 0.9 / 0.1" in page


def test_shifts_and_the_rest_are_evaluated(away, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("I2M2_WORK", str(away["work"]))
    run = ["evaluate", away["run"], "--json", "--out", str(tmp_path)]
    assert main([*run, "--shifts", "mimic3.thinned"]) == 0
    assert json.loads(capsys.readouterr().out)["shifts"]
    groups = set(pd.read_csv(tmp_path / "shift_groups.csv")["samples of"])
    assert groups == {"left out of training: source = metavision", "the rest beside source = metavision"}
    assert main([*run, "--split", "rest"]) == 0
    assert main(["report", away["run"], "--out", str(tmp_path / "again")]) == 0
    again = (tmp_path / "again" / "report.html").read_text(encoding="utf-8")
    assert "ideal observer" in again
    assert "Splits" in again
    assert main(["verify", away["runs"][0]]) == 0


def test_another_workspaces_key_moves_no_number(data, monkeypatch, tmp_path, capsys):
    found = []
    for name in ("one", "another"):
        monkeypatch.setenv("I2M2_WORK", str(tmp_path / name))
        assert main(["train", "mimic3_demo", "--json", *words(*SHORT, f"source.root={data}")]) == 0
        found.append(json.loads(capsys.readouterr().out)["rows"])
    assert found[0] == found[1]
    assert (tmp_path / "one" / "key").read_text(encoding="utf-8") != (tmp_path / "another" / "key").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", *words("split.valid=0.001")], "the valid split holds one patient"),
        (["compare", *words("split.valid=0")], "split.valid is 0: nothing can be calibrated"),
        (
            ["compare", *words("split.test_group.source=meta")],
            "no sample has source = 'meta'; choose from carevue, metavision",
        ),
        (["train", *words("evaluation.prior.icd9=[0.9,0.1]")], "there is no label 'icd9'; did you mean 'icd9_7'"),
    ],
)
def test_bad_input_is_one_line(arguments, said, data, capsys):
    verb, *rest = arguments
    assert main([verb, "mimic3_demo", *words(*SHORT, f"source.root={data}"), *rest]) == 1
    told = capsys.readouterr().err
    assert said in told.splitlines()[-1]
    assert "Traceback" not in told
