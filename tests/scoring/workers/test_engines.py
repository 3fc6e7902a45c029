"""Other ways to run the same model give the same answers."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from i2m2_med.console import Progress
from i2m2_med.engine.prediction.predictor import load_model
from i2m2_med.parts import Part
from i2m2_med.scoring.job import Job, model_hash
from i2m2_med.scoring.onnx_backend import SESSIONS, OnnxBackend
from i2m2_med.scoring.run import score
from i2m2_med.scoring.studies import find_studies
from tests.scoring.test_run import HERE, contents, score_all


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ray_cluster_of_two_workers_gives_the_same_table(
    digits_studies: Path, digits_model: Path, tmp_path: Path
) -> None:
    from i2m2_med.scoring.workers.ray import ray_engine

    score_all(digits_studies, digits_model, tmp_path / "here")
    score_all(digits_studies, digits_model, tmp_path / "ray", engine=ray_engine(2))
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("model", "studies"), [("knee_model", "knee_studies"), ("digits_model", "digits_studies")])
def test_onnx_gives_the_same_log_probabilities(
    model: str, studies: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Batches of two and of one, and of other sizes where an expert is silent for some items."""
    folder: Path = request.getfixturevalue(model)
    places = find_studies(str(request.getfixturevalue(studies)))
    by_torch, by_onnx = tmp_path / "torch", tmp_path / "onnx"
    for out, backend in ((by_torch, "torch"), (by_onnx, "onnx")):
        score(Job(folder, "m", model_hash(folder), out, backend=backend), places, HERE, Part(), Progress())
    tables = [pd.read_parquet(out / "scores.parquet") for out in (by_torch, by_onnx)]
    for column in [name for name in tables[0].columns if name == "p" or name.startswith("p_")]:
        said, wanted = (np.log(table[column].to_numpy()) for table in tables)
        np.testing.assert_allclose(said, wanted, atol=1e-4, equal_nan=True)


def test_studies_of_ever_other_shapes_keep_so_many_graphs(digits_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = OnnxBackend(load_model(digits_model, "cpu"))
    monkeypatch.setattr(backend, "session", lambda *_: SimpleNamespace(run=lambda *_: [np.zeros(1)]))
    for size in range(SESSIONS + 9):
        backend.run("image", [torch.zeros(1, size)])
    assert [key[1] for key in backend.sessions] == [(size,) for size in range(9, SESSIONS + 9)]
