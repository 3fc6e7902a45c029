"""Training as its user runs it: into MLflow, resumable, the same numbers again; and what stops it, said in a line."""

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from i2m2_med.cli import main
from i2m2_med.engine.prediction.predictor import load_model
from i2m2_med.engine.reopening.runs import read_runs
from i2m2_med.engine.tracking.read import artifact_names, find_run
from i2m2_med.engine.tracking.results import comparison_values, results_of
from i2m2_med.engine.tracking.store import store_uri
from i2m2_med.errors import ModelError
from i2m2_med.parts import hold_folder


def train(tables: Path, *more: str) -> list[str]:
    return [
        "train",
        "mimic3_demo",
        "-s",
        f"source.root={tables}",
        "-s",
        "training.epochs=1",
        "-s",
        "evaluation.bootstrap=20",
        *more,
    ]


def weights(work: Path, note: str) -> bytes:
    return next((work / "runs").glob(f"{note}/model/weights.safetensors")).read_bytes()


def test_the_same_config_data_and_seed_give_the_same_numbers(tables, work, capsys):
    assert main(train(tables, "--json")) == 0
    first = json.loads(capsys.readouterr().out)
    bits = weights(work, "train-*/i2m2-0")
    assert main(train(tables, "--json")) == 0  # without --resume: trained again from nothing
    again = json.loads(capsys.readouterr().out)
    assert again["run"] != first["run"]
    assert again["rows"] == first["rows"]
    assert weights(work, "train-*/i2m2-0") == bits


def test_rows_say_what_they_are_and_seeds_have_a_parent(tables, work, capsys):
    assert main(train(tables, "-s", "seeds=[0,1]", "--json")) == 0
    result = json.loads(capsys.readouterr().out)
    assert len(result["runs"]) == 2
    assert result["run"] == result["runs"][0]
    keys = {"paradigm", "label", "metric", "value", "low", "high", "seed"}
    assert all(keys <= set(row) for row in result["rows"])
    assert {row["seed"] for row in result["rows"]} == {0, 1}
    first, parent = (find_run(store_uri(work), run) for run in (result["run"], result["parent"]))
    assert first.parent == parent.run_id
    assert (parent.name, parent.tags["seeds"], "seed" in parent.tags) == ("mimic3_demo i2m2", "0, 1", False)
    assert "i2m2_test_nll_macro" in results_of(parent, comparison_values)
    assert "figure.png" in artifact_names(parent)
    assert parent.tags["mlflow.note.content"].startswith("**I2M2: ")
    assert len(read_runs(parent.run_id, parent.uri).tables) == 2


def test_resume_reads_what_is_done(tables, capsys):
    assert main(train(tables, "--json")) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(train(tables, "--resume", "--json")) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == first
    assert "done before" in said.err


@pytest.mark.parametrize("mode", ["separate", "joint+aux"])
def test_every_mode_trains(tables, mode):
    assert main(train(tables, "-s", f"training.mode={mode}")) == 0


def test_warm_start_from_separately_trained_experts(tables):
    assert main(train(tables, "-s", "training.warm_start=separate", "-s", "training.separate={epochs: 2}")) == 0


def test_few_test_patients_are_said(tables, capsys):
    assert main(train(tables)) == 0
    assert "no accuracy can be claimed" in capsys.readouterr().err


def refused(arguments: list[str], capsys) -> str:
    """The one line that a call is refused with."""
    assert main(arguments) == 1
    said = capsys.readouterr().err.splitlines()
    lines = [line for line in said if "Error: " in line]
    assert len(lines) == 1
    assert not any("Traceback" in line for line in said)
    return lines[0]


def test_a_folder_in_use_is_refused(tables, work, capsys):
    assert main(train(tables)) == 0
    folder = next((work / "runs").glob("train-*.lock")).with_suffix("")
    with hold_folder(folder):
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(refused(train(tables), capsys)))
        thread.start()
        thread.join()
    assert "is in use by another run" in found[0]


def test_an_empty_folder_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "SourceError" in refused(train(tmp_path / "empty"), capsys)


def test_a_folder_that_is_not_there_is_refused(tmp_path, capsys):
    assert "nowhere" in refused(train(tmp_path / "nowhere"), capsys)


def test_a_truncated_table_is_refused_and_nothing_is_left(tables, tmp_path, work, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(tables, broken)
    whole = (broken / "CHARTEVENTS.csv.gz").read_bytes()
    (broken / "CHARTEVENTS.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert "CHARTEVENTS" in refused(train(broken), capsys)
    assert not list((work / "prepared").glob("*/manifest.json"))
    assert not list((work / "prepared").glob(".*part"))


def test_a_modality_that_is_not_there_is_refused(tables, capsys):
    said = refused(train(tables, "-s", "experts.series.reads=[serie]"), capsys)
    assert "expert 'series' reads 'serie'" in said
    assert "did you mean 'series'?" in said


def test_an_expert_of_another_shape_is_refused(tables, capsys):
    said = refused(
        train(tables, "-s", "experts.static.network={_target_: torch.nn.Linear, in_features: 5, out_features: 3}"),
        capsys,
    )
    assert "expert 'static' answers" in said


def test_a_keyword_that_the_network_lacks_is_refused(tables, capsys):
    said = refused(train(tables, "-s", "experts.series.network.chanels=3"), capsys)
    assert "takes no 'chanels'; did you mean 'channels'?" in said


def test_an_optimizer_that_is_none_is_refused(tables, capsys):
    assert "is not a optimizer" in refused(train(tables, "-s", "training.optimizer={_target_: torch.nn.ReLU}"), capsys)


def test_check_climbs_to_the_data(tables, capsys):
    assert main(["check", "mimic3_demo", "-s", f"source.root={tables}", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["splits"]) == {"train", "valid", "test"}


def test_prepare_tells_the_cohort_flow(tables, capsys):
    assert main(["prepare", "mimic3_demo", "-s", f"source.root={tables}", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"manifest", "fingerprint", "flow"}
    assert all(set(step) == {"step", "kept", "dropped", "why"} for step in result["flow"])
    manifest = json.loads(Path(result["manifest"]).read_text(encoding="utf-8"))
    assert manifest["fingerprint"] == result["fingerprint"]


def test_of_several_learning_rates_the_best_on_validation_is_kept(tables, work, capsys):
    def nll(*settings: str) -> float:
        assert main(train(tables, "-s", "training.select=nll", "-s", "training.epochs=2", *settings, "--json")) == 0
        capsys.readouterr()
        table = pd.read_parquet(
            max((work / "runs").glob("train-*/i2m2-0/predictions.parquet"), key=lambda p: p.stat().st_mtime)
        )
        right = table[(table["split"] == "valid") & (table["class"] == table["target"])]
        return -np.log(right["p"]).mean()

    choose = nll("-s", "training.learning_rate=[1e-6,3e-3]", "-s", "evaluation.calibrate=false")
    alone = [
        nll("-s", f"training.learning_rate={rate}", "-s", "evaluation.calibrate=false") for rate in ("1e-6", "3e-3")
    ]
    assert choose == pytest.approx(min(alone), rel=1e-6)


def test_first_weights_stay_where_frozen_and_are_never_asked_for_again(tables, tmp_path, work, monkeypatch, capsys):
    assert main(train(tables)) == 0
    first = shutil.copy(next((work / "runs").glob("train-*/i2m2-0/model/weights.safetensors")), tmp_path)
    monkeypatch.setenv("OTHERS", str(tmp_path))
    capsys.readouterr()
    block = "{file: '${OTHERS}/weights.safetensors', part: encoder, prefix: experts.static.encoder., frozen: true}"
    again = train(tables, "-s", f"experts.static.weights=[{block}]", "-s", "seeds=[5]", "--json")
    assert main(again) == 0
    said = capsys.readouterr()
    assert "experts.static.weights.0: 4 of 4 tensors are from weights.safetensors, frozen; left out of it" in said.err
    model = next((work / "runs").glob("train-*/i2m2-5/model"))
    before, after = load_file(first), load_file(model / "weights.safetensors")
    same = {name for name, tensor in after.items() if "experts." in name and torch.equal(tensor, before[name])}
    assert same == {name for name in after if name.startswith("experts.static.encoder.")}
    Path(first).unlink()
    assert str(tmp_path) not in (model / "config.yaml").read_text(encoding="utf-8")
    assert main(["verify", json.loads(said.out)["run"], "--quiet"]) == 0
    assert "weights.safetensors is not there" in refused(again, capsys)


def test_a_model_folder_that_names_weights_on_this_machine_is_refused(tables, work):
    assert main(train(tables)) == 0
    model = next((work / "runs").glob("train-*/i2m2-0/model"))
    config = yaml.safe_load((model / "config.yaml").read_text(encoding="utf-8"))
    config["experts"]["static"]["weights"] = [{"file": "/net/host/secret.pt"}]
    (model / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises(ModelError, match=r"experts\.static\.weights\.0\.file names a place on this machine"):
        load_model(model)
