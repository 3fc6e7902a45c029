"""A real Ray cluster of three nodes on this machine: same bytes as one process, also where a worker is killed."""

import logging
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from i2m2_med.console import Progress
from i2m2_med.errors import UserError
from i2m2_med.scoring.examine import Outcome
from i2m2_med.scoring.output_lock import Part, lock_output
from i2m2_med.scoring.run import score
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.workers import ray as by_ray
from tests.scoring.conftest import job_of
from tests.scoring.test_run import but_for_seconds, score_all

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Three nodes of one CPU each, as processes; `ray` is connected to them."""
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 * 2**20})
    for _ in range(2):
        nodes.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture
def many_studies(digits_studies: Path, tmp_path: Path) -> Path:
    """Ninety-six small studies, eight of them damaged."""
    places = sorted(digits_studies.iterdir())
    for index in range(96):
        (tmp_path / "studies" / f"study{index:03d}").parent.mkdir(exist_ok=True)
        (tmp_path / "studies" / f"study{index:03d}").mkdir()
        for file in places[index % 12].iterdir():
            (tmp_path / "studies" / f"study{index:03d}" / file.name).write_bytes(file.read_bytes())
    return tmp_path / "studies"


def actors() -> list[psutil.Process]:
    """The processes of Ray that hold the model."""
    named = [(process, " ".join(process.info["cmdline"] or [])) for process in psutil.process_iter(["cmdline"])]
    ours = {child.pid for child in psutil.Process().children(recursive=True)}
    return [process for process, name in named if name.startswith("ray::") and "Actor" in name and process.pid in ours]


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("readers", [0, 1])
def test_a_killed_worker_costs_its_studies_a_retry_and_nothing_else(
    readers: int, many_studies: Path, digits_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_ray, "AT_ONCE", 8)
    score_all(many_studies, digits_model, tmp_path / "here")
    killed, names = list[int](), list[str]()
    engine = by_ray.ray_engine(3, readers)

    def interrupted(job, store, studies) -> Iterator[Outcome]:
        for outcome in engine(job, store, studies):
            names.append(outcome.name)
            if not killed:
                victim = actors()[0]
                victim.kill()
                killed.append(victim.pid)
            yield outcome

    summary = score_all(many_studies, digits_model, tmp_path / "ray", engine=interrupted)
    assert killed
    assert sorted(names) == [f"study{index:03d}" for index in range(96)]
    assert (summary.ok, summary.refused, summary.same) == (88, 8, 0)
    assert but_for_seconds(tmp_path / "ray") == but_for_seconds(tmp_path / "here")
    assert (
        score_all(many_studies, digits_model, tmp_path / "ray", engine=engine).same == 96
    )  # started again: nothing to do


@pytest.mark.usefixtures("cluster")
def test_more_workers_than_the_cluster_has_are_refused(
    digits_studies: Path, digits_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"the Ray cluster has 3 CPUs"):
        score_all(digits_studies, digits_model, tmp_path, engine=by_ray.ray_engine(4))


@pytest.mark.usefixtures("cluster")
def test_a_second_scorer_is_kept_out(digits_studies: Path, digits_model: Path, tmp_path: Path) -> None:
    with lock_output(tmp_path, Part()), pytest.raises(UserError, match=r"in use"):
        score(
            job_of(digits_model, tmp_path), find_studies(str(digits_studies)), by_ray.ray_engine(1), Part(), Progress()
        )
