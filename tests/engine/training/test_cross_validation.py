"""Cross-validation of a small image model on real arrays: what a fold's model may know, what is pooled, what is put together."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

from i2m2_med.config.reader import load_config
from i2m2_med.console import Progress
from i2m2_med.engine.prediction.predictor import load_model
from i2m2_med.engine.tracking.read import children, find_run
from i2m2_med.engine.training.cross_validation import train
from i2m2_med.engine.training.opening import open_experiment
from i2m2_med.predictions import check_table

ROWS = 60


def write_arrays(folder: Path) -> None:
    """Ten classes of blurred squares, 40 rows to train and 20 to test on; folds.csv puts row i into fold i mod 3."""
    rng = np.random.default_rng(0)
    digit = np.arange(ROWS) % 10
    for name, side in (("image", 28), ("audio", 112)):
        pixels = rng.integers(0, 60, (ROWS, side, side)).astype(np.uint8)
        pixels[np.arange(ROWS), digit * side // 10] = 255
        (folder / name).mkdir(parents=True)
        np.save(folder / name / "train_data.npy", pixels[:40])
        np.save(folder / name / "test_data.npy", pixels[40:])
    np.save(folder / "train_labels.npy", digit[:40])
    np.save(folder / "test_labels.npy", digit[40:])
    (folder / "folds.csv").write_text(
        "row,fold\n" + "".join(f"row {i},{i // 10 % 3}\n" for i in range(ROWS)), encoding="utf-8"
    )


@contextmanager
def experiment(folder: Path, *more: str, resume: bool = True):
    settings = [
        f"source.root={folder}",
        f"split={{folds: 3, file: {folder / 'folds.csv'}}}",
        "modalities.normalise={image: standard}",
        "training.epochs=1",
        "evaluation.bootstrap=20",
        "seeds=[0]",
        *more,
    ]
    run, values = load_config("avmnist_image", settings)

    def judge(manifest, paradigm, seed, table, report):
        del manifest, paradigm, seed, report
        return [{"paradigm": "p", "label": "digit", "metric": "accuracy", "value": float(len(table)), "seed": 0}]

    with open_experiment(run, values, judge, Progress(), what="train", resume=resume) as opened:
        yield opened


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    write_arrays(tmp_path / "arrays")
    return tmp_path / "arrays"


def fold_files(folder: Path, fold: int) -> dict[str, bytes]:
    model = folder / f"fold-{fold}" / "unimodal_image-0" / "model"
    return {name: (model / name).read_bytes() for name in ("weights.safetensors", "calibration.json", "state.json")}


def test_changing_whom_a_fold_tests_changes_nothing_in_its_model(arrays: Path) -> None:
    with experiment(arrays) as first:
        train(first, "unimodal_image", 0)
        before = [fold_files(first.folder, fold) for fold in range(3)]
    path = arrays / "image" / "train_data.npy"
    pixels = np.load(path)
    pixels[30:40] = 255 - pixels[30:40]  # rows of fold 0
    np.save(path, pixels)
    with experiment(arrays) as second:
        assert second.folder != first.folder  # other data, other checkpoints
        train(second, "unimodal_image", 0)
        after = [fold_files(second.folder, fold) for fold in range(3)]
    assert after[0] == before[0]
    for fold in (1, 2):
        assert after[fold]["weights.safetensors"] != before[fold]["weights.safetensors"]
        assert after[fold]["state.json"] != before[fold]["state.json"]


def test_folds_are_runs_of_one_parent_pooled_and_put_together(arrays: Path) -> None:
    with experiment(arrays) as opened:
        made = train(opened, "unimodal_image", 0)
        names = opened.cohort.records["study"].to_list()
    tested = made.read()[made.read()["split"] == "test"]
    assert sorted(tested["study"].unique()) == sorted(names)
    assert (tested.groupby("study")["fold"].nunique() == 1).all()
    assert tested.groupby("fold")["study"].nunique().tolist() == [20, 20, 20]
    import polars as pl

    check_table(pl.from_pandas(made.read()))
    parent = find_run(opened.uri, made.run_id)
    folds = children(parent)
    assert [(run.tags["fold"], run.tags["folds"], run.status) for run in folds] == [
        (str(at), "3", "FINISHED") for at in range(3)
    ]
    assert parent.tags["folds"] == "3"
    assert "fold" not in parent.tags
    ensemble = load_model(made.model)
    assert len(ensemble.members) == 3
    whole = load_file(made.model / "weights.safetensors")
    for fold in range(3):
        own = load_file(opened.folder / f"fold-{fold}" / "unimodal_image-0" / "model" / "weights.safetensors")
        assert all((whole[f"members.{fold}.{name}"] == tensor).all() for name, tensor in own.items())


def test_what_was_cut_off_between_folds_is_gone_on_with_to_the_same_bytes(
    arrays: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from i2m2_med.engine.training.experiment import Experiment

    with experiment(arrays) as whole:
        expected = train(whole, "unimodal_image", 0)
    calls: list[int] = []
    fit = Experiment.fit

    def stopping(self, paradigm, seed, tracker):
        calls.append(self.run.split.fold)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(self, paradigm, seed, tracker)

    monkeypatch.setattr(Experiment, "fit", stopping)
    with pytest.raises(KeyboardInterrupt), experiment(arrays, resume=False) as cut:
        train(cut, "unimodal_image", 0)
    with experiment(arrays) as again:
        made = train(again, "unimodal_image", 0)
    assert calls == [0, 1, 1, 2]
    pd.testing.assert_frame_equal(made.read().drop(columns="model"), expected.read().drop(columns="model"))
    assert find_run(again.uri, made.run_id).status == "FINISHED"


def test_a_fold_that_is_trained_alone_prepares_the_same_data_for_all(arrays: Path) -> None:
    with experiment(arrays, "split.fold=1") as one:
        assert one.manifest["settings"]["split"]["fold"] == 1
    with experiment(arrays) as whole:
        assert "fold" not in whole.manifest["settings"]["split"]
        assert whole.manifest["folds"][1]["fingerprint"] == one.cohort.fingerprint


def test_other_folds_are_another_experiment(arrays: Path) -> None:
    (arrays / "two.csv").write_text("row,fold\n" + "".join(f"row {i},{i % 2}\n" for i in range(ROWS)), encoding="utf-8")
    with experiment(arrays) as three:
        pass
    with experiment(arrays, f"split={{folds: 2, file: {arrays / 'two.csv'}}}") as two:
        assert two.folder != three.folder
        assert two.cohort.fingerprint != three.cohort.fingerprint
    with experiment(arrays, "split.fold=1") as one:
        assert one.cohort.splits == ("train", "valid", "test")
        assert one.cohort.fingerprint == three.manifest["folds"][1]["fingerprint"]
        assert one.cohort.folder == three.cohort.folder
