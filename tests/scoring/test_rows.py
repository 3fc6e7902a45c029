"""Rows of a table are studies: scored from a table, from folders and from requests, with the same numbers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.console import Progress
from i2m2_med.engine.prediction.predictor import load_model
from i2m2_med.errors import ModelError, SourceError
from i2m2_med.model import Opinions
from i2m2_med.parts import Part
from i2m2_med.samples.cohort import open_cohort
from i2m2_med.samples.preparing import prepare
from i2m2_med.scoring.reading import Chunk, Reader
from i2m2_med.scoring.run import Summary, score, source_of
from i2m2_med.scoring.served import Scorer
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.workers.engine import local_engine
from i2m2_med.simulate.table.write import simulate

from .conftest import job_of, untrained

SMALL = ("modalities.transforms.2.spatial_size=[16,16,16]",)
COLUMNS = ["age", "mmse", "education", "sex", "apoe4"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort")
    simulate(root / "data", patients=30, matrix="16x18x17", missing=0.3, seed=5)
    return root / "data"


@pytest.fixture(scope="module")
def model(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    overrides = (f"source.root={cohort}", *SMALL)
    run, _ = load_config("table_demo", overrides)
    work = tmp_path_factory.mktemp("work")
    state = open_cohort(run, prepare(run, "table_demo", work, Progress())).state
    return untrained("table_demo", work / "model", overrides, state)


def scored(where: Path, model: Path, out: Path) -> tuple[Summary, pd.DataFrame]:
    studies = find_studies(str(where), out, source_of(model))
    summary = score(job_of(model, out), studies, local_engine(0, 1, 60.0), Part(), Progress())
    return summary, pd.read_parquet(out / "scores.parquet")


@pytest.fixture(scope="module")
def whole(cohort: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    summary, table = scored(cohort / "cohort.csv", model, tmp_path_factory.mktemp("out") / "scores")
    assert (summary.ok, summary.refused) == (30, 0)
    return table


def ill(table: pd.DataFrame) -> pd.Series:
    return table[table["class"] == 1].set_index("study")["p"].sort_index()


def test_every_row_is_scored_under_its_patients_name(cohort: Path, whole: pd.DataFrame):
    table = pl.read_csv(cohort / "cohort.csv", infer_schema=False)
    assert sorted(set(whole["study"])) == table["patient_id"].to_list()
    by_study = whole.drop_duplicates("study").set_index("study")["pattern"]
    has = table["t1_path"].replace("", None).is_not_null()
    assert [("t1" in by_study[name].split("+")) for name in table["patient_id"]] == has.to_list()
    assert has.sum() < 30


def test_a_row_says_what_training_samples_said(cohort: Path, model: Path, whole: pd.DataFrame, tmp_path: Path):
    from i2m2_med.engine.prediction.predictor import load_model

    run, _ = load_config("table_demo", (f"source.root={cohort}", *SMALL))
    opened = open_cohort(run, prepare(run, "table_demo", tmp_path, Progress()))
    predictor = load_model(model, "cpu")
    tables = [predictor.predict(opened.samples(split)) for split in ("train", "valid", "test")]
    trained = np.sort(np.concatenate([table[table["class"] == 1]["p"] for table in tables]))
    np.testing.assert_allclose(trained, np.sort(ill(whole).to_numpy()), atol=1e-6)


def test_folders_say_the_same_as_rows(cohort: Path, model: Path, whole: pd.DataFrame, tmp_path: Path):
    table = pl.read_csv(cohort / "cohort.csv", infer_schema=False).head(8)
    labs = pl.read_csv(cohort / "labs.csv", infer_schema=False)
    for row in table.to_dicts():
        folder = tmp_path / "studies" / row["patient_id"]
        folder.mkdir(parents=True)
        (folder / "clinical.json").write_text(
            json.dumps({name: number(row[name]) for name in COLUMNS}), encoding="utf-8"
        )
        if row["t1_path"]:
            shutil.copy(cohort / row["t1_path"], folder / "t1.nii.gz")
        if row["report"]:
            (folder / "report.txt").write_text(row["report"], encoding="utf-8")
        own = labs.filter(pl.col("patient_id") == row["patient_id"]).drop("patient_id")
        if own.height:
            own.write_csv(folder / "labs.csv")
    summary, folders = scored(tmp_path / "studies", model, tmp_path / "out")
    assert summary.ok == 8
    np.testing.assert_allclose(ill(folders), ill(whole)[table["patient_id"].to_list()], atol=1e-6)


def number(cell: str | None) -> float | str | None:
    try:
        return float(cell or "")
    except ValueError:
        return cell or None


def test_requests_carry_rows_or_name_folders_below_the_root(cohort: Path, model: Path, whole: pd.DataFrame):
    table = pl.read_csv(cohort / "cohort.csv", infer_schema=False).with_columns(pl.all().replace("", None))
    bare = table.select("patient_id", "t1_path", *COLUMNS, "report").to_pandas()
    bare["age"] = bare["age"].astype(float)
    answers = Scorer(model, cohort)(bare)
    without = set(pl.read_csv(cohort / "labs.csv")["patient_id"])
    same = [name for name in table["patient_id"] if name not in without]
    assert same, "a request carries no series, so only patients without one are the same"
    assert answers["status"].eq("ok").all()
    by_patient = answers[answers["class"] == 1]["p"].to_numpy()
    numbers = dict(zip(table["patient_id"], by_patient, strict=True))
    np.testing.assert_allclose([numbers[name] for name in same], ill(whole)[same], atol=1e-6)
    for path in ("../cohort/x.nii.gz", "/etc/passwd", "images/none.nii.gz"):
        refused = Scorer(model, cohort)(pd.DataFrame({"t1_path": [path]}))
        assert refused["status"].tolist() == ["refused"]
    unrooted = Scorer(model)(bare[["t1_path"]].dropna().head(1))
    assert "opens no files" in unrooted["error"][0]
    wrong = Scorer(model, cohort)(pd.DataFrame({"mmse": [20], "aeg": [70]}))
    assert "knows no column aeg" in wrong["error"][0]


def test_a_bad_row_is_refused_alone_and_done_rows_are_not_done_twice(cohort: Path, model: Path, tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(cohort, data)
    table = pl.read_csv(data / "cohort.csv", infer_schema=False).drop("diagnosis", "site")
    images = table["t1_path"].replace("", None).to_list()
    there = [at for at, path in enumerate(images) if path][:2]
    (data / str(images[there[0]])).write_bytes(b"no image")
    age = table["age"].to_list()
    age[there[1]] = "about seventy"
    table.with_columns(age=pl.Series(age)).write_csv(data / "new.csv")
    summary, _ = scored(data / "new.csv", model, tmp_path / "out")
    assert (summary.ok, summary.refused) == (28, 2)
    reasons = " ".join(why for why, _ in summary.reasons)
    assert "truncated or damaged" in reasons
    assert "cells of 'age' are no numbers, such as aaaaa aaaaaaa" in reasons
    again, _ = scored(data / "new.csv", model, tmp_path / "out")
    assert (again.ok, again.same) == (28, 29), "a lasting refusal is not tried again, an unreadable file is"


def test_a_table_that_lacks_a_column_or_the_series_is_refused_whole(cohort: Path, model: Path, tmp_path: Path):
    table = pl.read_csv(cohort / "cohort.csv", infer_schema=False)
    table.drop("mmse").write_csv(tmp_path / "new.csv")
    with pytest.raises(SourceError, match=r"new.csv lacks the column mmse; leave cells empty"):
        find_studies(str(tmp_path / "new.csv"), None, source_of(model))
    table.write_csv(tmp_path / "new.csv")
    with pytest.raises(SourceError, match=r"labs.csv is not beside new.csv"):
        find_studies(str(tmp_path / "new.csv"), None, source_of(model))


def test_a_manifest_of_folders_stays_one(model: Path, tmp_path: Path):
    (tmp_path / "one").mkdir()
    (tmp_path / "list.csv").write_text("study\none\n", encoding="utf-8")
    assert [study.folder for study in find_studies(str(tmp_path / "list.csv"), None, source_of(model))] == [
        tmp_path / "one"
    ]


def test_what_a_study_has_to_look_like_is_said(model: Path):
    text = source_of(model).expects()
    assert "t1_path, age, mmse, education, sex, apoe4, report, patient_id" in text
    assert "clinical.json: {age, mmse, education, sex, apoe4}" in text
    assert "labs.csv with hour, item, value, the first 24 hours" in text


def test_a_row_that_the_model_fails_on_loses_no_other(
    cohort: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = pd.DataFrame(pl.read_csv(cohort / "cohort.csv").head(3).to_dicts())[COLUMNS]
    scorer = Scorer(model, cohort)
    good, seen = scorer.predictor.backend, []

    def fails_once(chunk: Chunk) -> Opinions:
        seen.append(chunk)
        if len(seen) == 2:
            raise RuntimeError("a kernel that is not there")
        return good(chunk)

    monkeypatch.setattr(scorer.predictor, "backend", fails_once)
    table = scorer(bare)
    assert table.groupby("study", sort=False)["status"].first().tolist() == ["ok", "refused", "ok"]


@pytest.mark.parametrize("wrong", ["a column less", "no levels", "nothing"])
def test_statistics_of_other_columns_are_refused_at_load(wrong: str, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    [name] = [name for name, each in state.items() if each.get("levels")]
    if wrong == "a column less":
        state[name] = {key: values[:-1] for key, values in state[name].items()}
    elif wrong == "no levels":
        del state[name]["levels"]
    else:
        del state[name]
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    for road in (load_model, Reader):
        with pytest.raises(ModelError, match=rf"^[^\n]*its statistics [^\n]*'{name}'[^\n]*; export the model again$"):
            road(folder)
