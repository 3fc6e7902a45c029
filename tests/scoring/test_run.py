"""Scoring from folder to table."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from i2m2_med.console import Progress
from i2m2_med.errors import UserError
from i2m2_med.parts import Part
from i2m2_med.scoring.output_lock import lock_output
from i2m2_med.scoring.results import rows_of
from i2m2_med.scoring.run import Summary, merge, score
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.workers.engine import local_engine
from i2m2_med.simulate.knee.write import simulate

from .conftest import job_of, with_envelope

HERE = local_engine(0, 1, 60.0)


def score_all(studies: Path, model: Path, out: Path, part: Part = Part(), engine=HERE) -> Summary:  # noqa: B008
    """Score a folder of studies."""
    return score(job_of(model, out), find_studies(str(studies), out), engine, part, Progress())


def contents(out: Path) -> dict[str, bytes]:
    """The files of an output folder, by name."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and ".score" not in path.parts)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def but_for_seconds(out: Path) -> dict[str, object]:
    """As `contents`, without how long each study took: on a busy machine that is another step of the ladder."""
    results = {path.name: json.loads(path.read_bytes()) | {"seconds": 0} for path in out.glob("studies/*.json")}
    return {**results, "scores": pd.read_parquet(out / "scores.parquet").drop(columns="seconds").to_json()}


def test_every_item_label_and_class_is_a_row(knee_studies: Path, knee_model: Path, tmp_path: Path) -> None:
    summary = score_all(knee_studies, knee_model, tmp_path)
    table = pd.read_parquet(tmp_path / "scores.parquet")
    assert (summary.ok, summary.refused, summary.exit) == (5, 0, 0)
    assert len(table) == 5 * (3 + 1) * 4 * 2  # slices and the study as a whole, labels, classes
    sums = table.groupby(["study", "level", "item", "label"], dropna=False)["p"].sum()
    assert sums.between(1 - 1e-6, 1 + 1e-6).all()
    assert set(table["pattern"]) == {"magnitude+phase"}
    slices = table[(table["level"] == "item") & (table["class"] == 1)]
    whole = table[(table["level"] == "study") & (table["class"] == 1)].set_index(["study", "label"])["p"]
    pd.testing.assert_series_equal(slices.groupby(["study", "label"])["p"].max(), whole.sort_index(), atol=1e-6)
    assert table.loc[table["level"] == "study", "item"].isna().all()


def test_results_of_older_versions_are_rows_with_a_level(knee_studies: Path, knee_model: Path, tmp_path: Path) -> None:
    score_all(knee_studies, knee_model, tmp_path)
    result = json.loads(next(tmp_path.glob("studies/*.json")).read_text(encoding="utf-8"))
    now = list(rows_of(result))
    for row in result["rows"]:
        row["item"] = -1 if row.pop("level") == "study" else row["item"]
    assert list(rows_of(result)) == now


def test_absent_modalities_silence_their_experts(digits_studies: Path, digits_model: Path, tmp_path: Path) -> None:
    summary = score_all(digits_studies, digits_model, tmp_path)
    table = pd.read_parquet(tmp_path / "scores.parquet")
    refused = table[table["status"] == "refused"]
    assert (summary.ok, summary.refused, summary.exit) == (11, 1, 2)
    assert sum(count for _, count in summary.reasons) == 1
    assert refused["label"].isna().all()
    assert refused["error"].str.len().gt(10).all()
    alone = table[table["pattern"] == "audio"]
    assert alone["p_image"].isna().all()
    assert alone["p_joint"].isna().all()
    pd.testing.assert_series_equal(alone["p"], alone["p_audio"], check_names=False, atol=1e-6)


def test_a_pool_and_two_processes_give_the_bytes_of_one(
    digits_studies: Path, digits_model: Path, tmp_path: Path
) -> None:
    score_all(digits_studies, digits_model, tmp_path / "here")
    score_all(digits_studies, digits_model, tmp_path / "pool", engine=local_engine(2, 1, 60.0))
    score_all(digits_studies, digits_model, tmp_path / "two", engine=local_engine(1, 2, 60.0))
    assert contents(tmp_path / "here") == contents(tmp_path / "pool") == contents(tmp_path / "two")


def test_what_is_done_is_not_done_twice(digits_studies: Path, digits_model: Path, tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    shutil.copytree(digits_studies, studies)
    first = score_all(studies, digits_model, tmp_path / "out")
    before = contents(tmp_path / "out")
    again = score_all(studies, digits_model, tmp_path / "out")
    assert (first.same, again.same) == (0, 12)
    assert contents(tmp_path / "out") == before
    np.save(studies / "study00" / "image.npy", np.zeros((1, 28, 28), np.float32))
    changed = score_all(studies, digits_model, tmp_path / "out")
    assert changed.same == 11
    differ = [name for name, content in contents(tmp_path / "out").items() if before[name] != content]
    assert differ == ["scores.csv", "scores.parquet", "studies/study00.json"]


def test_parts_put_together_are_the_whole(digits_studies: Path, digits_model: Path, tmp_path: Path) -> None:
    score_all(digits_studies, digits_model, tmp_path / "whole")
    for index in (0, 2):
        score_all(digits_studies, digits_model, tmp_path / "parts", Part(index, 3))
    with pytest.raises(UserError, match="of 3 parts, 1 did not finish"):
        merge(tmp_path / "parts")
    score_all(digits_studies, digits_model, tmp_path / "parts", Part(1, 3))
    assert merge(tmp_path / "parts").studies == 12
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_second_scorer_is_refused_and_parts_are_not(tmp_path: Path) -> None:
    with lock_output(tmp_path, Part()):
        with pytest.raises(UserError, match="in use by another scorer"), lock_output(tmp_path, Part()):
            pass
        with pytest.raises(UserError, match="share the work"), lock_output(tmp_path, Part(0, 2)):
            pass
    with lock_output(tmp_path, Part(0, 2)), lock_output(tmp_path, Part(1, 2)):
        with pytest.raises(UserError, match="in use"), lock_output(tmp_path, Part(0, 2)):
            pass
        with pytest.raises(UserError, match="in use"), lock_output(tmp_path, Part()):
            pass


def test_parts_share_all_studies(digits_studies: Path) -> None:
    places = find_studies(str(digits_studies))
    parts = [Part(index, 5).of(places) for index in range(5)]
    assert sorted(study.name for part in parts for study in part) == [study.name for study in places]


def test_studies_outside_what_the_model_saw_are_warned_of(knee_studies: Path, knee_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(knee_model, model)
    with_envelope(model, knee_studies / "knee 01")
    simulate(tmp_path / "large", volumes=1, slices=9, matrix="256x200", seed=1)
    shutil.copytree(next((tmp_path / "large").rglob("*.h5")).parent, tmp_path / "studies" / "large")
    shutil.copytree(knee_studies / "knee 01", tmp_path / "studies" / "same")
    gaps = shutil.copytree(knee_studies / "knee 01", tmp_path / "studies" / "gaps")
    with h5py.File(next(gaps.glob("*.h5")), "r+") as file:
        file["kspace"][..., ::2] = 0
    summary = score_all(tmp_path / "studies", model, tmp_path / "out")
    warning = pd.read_parquet(tmp_path / "out" / "scores.parquet").groupby("study")["warning"].first()
    assert warning["same"] == ""
    assert "lines left out and filled with zeros, so its images are aliased was never seen" in warning["gaps"]
    assert (summary.ok, summary.warned) == (3, 2)
    assert dict(summary.warnings)["record: size (readout) outside what the model saw"] == 1
    assert "size (readout)" in warning["large"]
    assert "number of slices" in warning["large"]
