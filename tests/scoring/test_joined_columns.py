"""A model of knees with a clinical table joined by config is scored: a study brings its columns as `clinical.json`."""

import shutil
from pathlib import Path

import pandas as pd

from i2m2_med.config.reader import load_config
from i2m2_med.console import Progress
from i2m2_med.parts import Part
from i2m2_med.samples.cohort import open_cohort
from i2m2_med.samples.preparing import prepare
from i2m2_med.scoring.run import expected_of, score, source_of
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.workers.engine import local_engine
from i2m2_med.simulate.knee.write import simulate

from .conftest import job_of, untrained


def test_a_study_brings_the_columns_that_the_config_joins(tmp_path: Path):
    data = tmp_path / "knee_data"
    simulate(data, volumes=14, slices=2, matrix="64x64", seed=2)
    settings = (f"source.root={data}", f"modalities.columns.clinical.table={data / 'clinical.csv'}")
    run, _ = load_config("knee_clinical", settings)
    state = open_cohort(run, prepare(run, "knee_clinical", tmp_path / "work", Progress())).state
    model = untrained("knee_clinical", tmp_path / "model", settings, state)
    assert "clinical.json: {age, bmi, sex} of the patient" in expected_of(model)
    volume = next(data.rglob("*.h5"))
    for name in ("with", "without"):
        (tmp_path / "studies" / name).mkdir(parents=True)
        shutil.copy(volume, tmp_path / "studies" / name)
    (tmp_path / "studies" / "with" / "clinical.json").write_text('{"age": 61, "sex": "female"}', encoding="utf-8")
    out = tmp_path / "out"
    studies = find_studies(str(tmp_path / "studies"), out, source_of(model))
    summary = score(job_of(model, out), studies, local_engine(0, 1, 60.0), Part(), Progress())
    assert (summary.ok, summary.refused) == (2, 0)
    table = pd.read_parquet(out / "scores.parquet").set_index("study")
    assert set(table.loc["with", "pattern"]) == {"clinical+magnitude+phase"}
    assert set(table.loc["without", "pattern"]) == {"magnitude+phase"}
    assert (table.loc["with", "p"].to_numpy() != table.loc["without", "p"].to_numpy()).any()
