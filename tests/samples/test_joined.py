"""Columns of a table beside any data set: joined, in the fingerprint, learnt from training, and scored."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.config.run import RunConfig
from i2m2_med.console import Progress
from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.samples.cohort import Cohort, open_cohort
from i2m2_med.samples.joined import joined_study
from i2m2_med.samples.preparing import prepare
from i2m2_med.simulate.knee.write import simulate
from i2m2_med.sources.fastmri import Source


@pytest.fixture(scope="module")
def knees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("knees")
    simulate(root / "data", volumes=12, slices=2, matrix="64x46", seed=3)
    return root / "data"


def run_of(knees: Path, table: Path, *more: str) -> RunConfig:
    block = (
        f"modalities.columns={{clinical: {{table: {table}, key: patient_id, columns: [age, sex], categories: [sex]}}}}"
    )
    network = "{_target_: i2m2_med.experts.Joint, encoders: [{_target_: i2m2_med.experts.ColumnsEncoder, numbers: 1, categories: 1}]}"
    expert = f"experts.clinical={{reads: [clinical], network: {network}}}"
    alone = "evaluation.primary=null"
    return load_config("knee_demo", (f"source.root={knees}", block, expert, alone, *more))[0]


def write_table(knees: Path, path: Path, leave_out: int = 0) -> pl.DataFrame:
    """A row per patient, but for the first few."""
    import h5py

    names = sorted({str(h5py.File(file).attrs["patient_id"]) for file in knees.rglob("*.h5")})[leave_out:]
    table = pl.DataFrame(
        {"patient_id": names, "age": [40 + 3 * n for n in range(len(names))], "sex": (["f", "m"] * 20)[: len(names)]}
    )
    table.write_csv(path)
    return table


def opened(knees: Path, table: Path, work: Path, *more: str) -> Cohort:
    run = run_of(knees, table, *more)
    return open_cohort(run, prepare(run, "knees", work, Progress()))


def test_each_slice_has_its_patients_columns(knees: Path, tmp_path: Path):
    write_table(knees, tmp_path / "clinical.csv", leave_out=2)
    cohort = opened(knees, tmp_path / "clinical.csv", tmp_path / "work")
    by_patient = cohort.records.with_columns(age=pl.Series(cohort.arrays["clinical"][:, 0])).group_by("patient")
    assert by_patient.agg(pl.col("age").n_unique())["age"].max() == 1
    there = cohort.records["has_clinical"]
    assert 0 < there.sum() < len(there)
    assert np.isnan(cohort.arrays["clinical"][~there.to_numpy()]).all()
    train = (cohort.records["split"] == "train").to_numpy()
    assert cohort.state["clinical"]["mean"][0] == pytest.approx(np.nanmean(cohort.arrays["clinical"][train, 0]))
    batch = cohort.samples("train").__getitems__([0, 1, 2])
    assert batch.inputs["clinical"].shape == (3, 4)


def test_the_table_is_in_the_fingerprint_and_without_one_it_is_as_it_was(knees: Path, tmp_path: Path):
    table = write_table(knees, tmp_path / "clinical.csv")
    first = opened(knees, tmp_path / "clinical.csv", tmp_path / "work").fingerprint
    table.with_columns(pl.col("age") + 1).write_csv(tmp_path / "clinical.csv")
    assert opened(knees, tmp_path / "clinical.csv", tmp_path / "work").fingerprint != first
    bare, _ = load_config("knee_demo", (f"source.root={knees}",))
    settings = json.loads(
        (prepare(bare, "knees", tmp_path / "work", Progress()) / "manifest.json").read_text(encoding="utf-8")
    )["settings"]
    assert "columns" not in settings


def test_what_does_not_fit_is_refused(knees: Path, tmp_path: Path):
    table, path = write_table(knees, tmp_path / "clinical.csv"), tmp_path / "clinical.csv"
    pl.concat([table, table.head(1).with_columns(age=pl.lit(99, pl.Int64))]).write_csv(path)
    with pytest.raises(SourceError, match="name one patient more than once in 'patient_id'"):
        opened(knees, path, tmp_path / "work")
    table.with_columns(patient_id=pl.lit("p") + pl.col("age").cast(pl.String)).write_csv(path)
    with pytest.raises(SourceError, match="no 'patient_id' is a patient of the data set"):
        opened(knees, path, tmp_path / "work")
    path.unlink()
    with pytest.raises(ConfigError, match=r"modalities.columns: .*clinical.csv is not a file"):
        opened(knees, path, tmp_path / "work")


def test_a_study_brings_its_columns(knees: Path, tmp_path: Path):
    run = run_of(knees, tmp_path / "clinical.csv")
    folder = tmp_path / "study"
    folder.mkdir()
    shutil.copy(next(knees.rglob("*.h5")), folder / "scan.h5")
    study = Source(run.source).study(folder)  # type: ignore[arg-type]
    bare = joined_study(study, folder, run.modalities.columns)
    assert bare.records["has_clinical"].to_list() == [False, False]
    (folder / "clinical.json").write_text('{"age": 61, "sex": "f"}', encoding="utf-8")
    whole = joined_study(study, folder, run.modalities.columns)
    assert whole.records["has_clinical"].to_list() == [True, True]
    assert whole.arrays["clinical"][:, 0].tolist() == [61, 61]
    (folder / "clinical.json").write_text('{"agee": 61}', encoding="utf-8")
    with pytest.raises(SourceError, match="knows no column agee"):
        joined_study(study, folder, run.modalities.columns)
