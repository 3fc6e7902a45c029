"""The command on a cluster of three nodes, a worker killed in the middle. $I2M2_MANY_STUDIES: how many; a few hundred by default."""

import os
from pathlib import Path

import pytest

from i2m2_med.console import Progress
from i2m2_med.parts import Part
from i2m2_med.scoring.job import Job, model_hash
from i2m2_med.scoring.run import score
from i2m2_med.scoring.studies import find_studies
from tests.scoring.test_run import HERE, but_for_seconds

from .many_studies import measure, three_nodes, write_model, write_studies

MANY = int(os.environ.get("I2M2_MANY_STUDIES", "600"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(0),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_many_studies_a_killed_worker_and_started_again(tmp_path: Path) -> None:
    studies, model = write_studies(tmp_path / "studies", MANY), write_model(tmp_path / "m")
    sha = model_hash(model)
    score(Job(model, sha[:12], sha, tmp_path / "here"), find_studies(str(studies)), HERE, Part(), Progress())
    with three_nodes() as address:
        cost = measure(studies, tmp_path / "ray", model, address, kill=True, every=0.5)
        again = measure(studies, tmp_path / "ray", model, address, every=0.5)
    print(cost, again)
    assert cost.killed
    assert (cost.said["ok"], cost.said["refused"], cost.said["same"]) == (MANY, 0, 0)
    assert (again.said["ok"], again.said["same"]) == (MANY, MANY)
    assert but_for_seconds(tmp_path / "ray") == but_for_seconds(tmp_path / "here")
