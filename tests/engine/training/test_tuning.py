"""Tuning: the test split is not there, every paradigm gets its trials, a search that was cut off goes on as it would have."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from i2m2_med.cli import main
from i2m2_med.config.reader import load_config
from i2m2_med.engine.training import tuning
from i2m2_med.engine.training.fit import fit
from i2m2_med.errors import ConfigError
from i2m2_med.samples.cohort import Cohort
from tests.engine.training.test_cross_validation import write_arrays

pytest.importorskip("optuna")
SPACE = {"training.learning_rate": {"log_uniform": [1e-3, 0.1]}, "experts.image.network.width": {"int": [2, 4]}}


def config(folder: Path, **tune: Any) -> Path:
    write_arrays(folder / "arrays")
    content = {
        "extends": str(Path(__file__).parents[3] / "configs" / "parts" / "avmnist.yaml"),
        "source": {"root": str(folder / "arrays")},
        "training": {"epochs": 1},
        "evaluation": {"bootstrap": 20},
        "seeds": [0],
        "paradigms": {"one": {"experts": ["image"]}, "two": {"experts": ["image"]}},
        "paradigm": "one",
        "tune": {"trials": 2, "startup": 1, "space": SPACE} | tune,
    }
    (folder / "toy.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "toy.yaml"


@pytest.mark.slow
def test_the_best_of_each_paradigm_is_written_as_a_config_that_trains_the_same(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    asked: list[str] = []
    samples = Cohort.samples
    monkeypatch.setattr(Cohort, "samples", lambda self, split: asked.append(split) or samples(self, split))
    assert main(["tune", str(config(tmp_path)), "--out", str(tmp_path / "tuned.yaml")]) == 0
    assert set(asked) <= {"train", "valid"}
    assert f"next: i2m2 compare {tmp_path / 'tuned.yaml'}" in capsys.readouterr().err
    run, _ = load_config(str(tmp_path / "tuned.yaml"))
    for name in ("one", "two"):
        assert run.paradigms[name].experts == (f"image_{name}",)
        assert 1e-3 <= run.paradigms[name].training["learning_rate"] <= 0.1
        assert 2 <= run.experts[f"image_{name}"].network["width"] <= 4
    assert run.tune.space == {}


@pytest.mark.slow
def test_a_search_that_was_cut_off_goes_on_as_it_would_have(tmp_path: Path, monkeypatch, capsys) -> None:
    path = config(tmp_path)
    assert main(["tune", str(path), "--out", str(tmp_path / "whole.yaml")]) == 0
    calls: list[str] = []

    def stopping(*args: Any, **settings: Any) -> Any:
        calls.append("fit")
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*args, **settings)

    monkeypatch.setattr("i2m2_med.engine.training.paradigm.fit", stopping)
    assert main(["tune", str(path), "--out", str(tmp_path / "again.yaml")]) == 130
    assert main(["tune", str(path), "--resume", "--out", str(tmp_path / "again.yaml")]) == 0
    assert len(calls) == 5  # four trials, one of them twice
    whole, again = (
        (tmp_path / name).read_text(encoding="utf-8").splitlines()[1:] for name in ("whole.yaml", "again.yaml")
    )
    assert whole == again
    assert main(["tune", str(path), "--resume", "--out", str(tmp_path / "again.yaml")]) == 0
    assert len(calls) == 5
    capsys.readouterr()


@pytest.mark.parametrize(
    ("tune", "said"),
    [
        ({"space": {}}, "there is no tune.space to search"),
        (
            {"space": {"training.learnig_rate": {"uniform": [0, 1]}}},
            "'learnig_rate' is no setting; did you mean 'learning_rate'?",
        ),
        ({"space": {"experts.imag.network.width": {"int": [1, 2]}}}, "'imag' is no expert; did you mean 'image'?"),
        ({"space": {"experts.image.network.widht": {"int": [1, 2]}}}, "takes no 'widht'; did you mean 'width'?"),
        ({"space": {"experts.image.network.width": {"int": [-3, 2]}}}, "can't be -3"),
        ({"space": {"training.batch": {"choice": [8, "many"]}}}, "can't be 'many'"),
        ({"space": {"training.optimizer._target_": {"choice": ["os.system"]}}}, "can't be 'os.system'"),
        ({"space": {"source.root": {"choice": ["/etc"]}}}, "can't be searched"),
        ({"space": {"training.batch": {"int": [8, 2]}}}, "goes from the lower to the higher end"),
        ({"space": {"training.batch": {"int": [2, 8], "choice": [2]}}}, "a range is one of"),
        ({"space": {"training.batch": {"log_uniform": [0, 8]}}}, "log_uniform needs numbers above 0"),
        ({"trials": 0}, "greater than or equal to 1"),
    ],
)
def test_a_space_that_the_config_can_not_take_is_refused(tmp_path: Path, tune, said, capsys) -> None:
    assert main(["tune", str(config(tmp_path, **tune))]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_tuning_on_all_folds_is_refused(tmp_path: Path, capsys) -> None:
    assert main(["tune", str(config(tmp_path)), "-s", "split.folds=3"]) == 1
    assert "tune within one fold: -s split.fold=0" in capsys.readouterr().err


def test_a_trial_that_can_not_be_trained_counts_and_is_said(tmp_path: Path, capsys) -> None:
    path = config(tmp_path, space={"training.learning_rate": {"choice": [1e30, 1e29]}}, trials=1)
    assert main(["tune", str(path)]) == 1
    said = capsys.readouterr().err
    assert "trial 0 can't be trained: training diverged" in said
    assert "none of 1 trials of one could be trained" in said


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"tune needs Optuna: install it .*\[tune\]"):
        tuning.need_optuna()
