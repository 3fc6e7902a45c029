"""A comparison with a child, through every outage: each kind × each moment of parent and child, and all is there once at the end."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from i2m2_med.engine.reopening.signed import check_signed
from i2m2_med.engine.tracking import outbox as outboxes
from i2m2_med.engine.tracking.model import save_model
from i2m2_med.engine.tracking.read import FoundRun, download, find_run, list_runs
from i2m2_med.engine.tracking.run import Tracker, open_run
from i2m2_med.engine.tracking.store import connect, ensure_store
from tests.forwarder import Forwarder
from tests.services import running
from tests.system.conftest import free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MOMENTS = (
    "parent opens", "parent metric", "parent artifact", "parent model",
    "child opens", "child metric", "child artifact", "child model", "child ends",
    "parent ends",
)  # fmt: skip
LONG = [("parent opens", "child metric"), ("child opens", "parent ends"), ("parent opens", "parent ends")]


@dataclass(frozen=True)
class Served:
    """A real server behind a forwarder, and a saved MLflow model to log."""

    forwarder: Forwarder
    saved: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    store = ensure_store(folder, f"sqlite:///{folder / 'mlflow.db'}")
    place = ["--backend-store-uri", store, "--artifacts-destination", str(folder / "remote"), "--serve-artifacts"]
    (folder / "model").mkdir()
    (folder / "model" / "weights.safetensors").write_bytes(b"weights")
    saved = save_model(folder / "model", folder / "saved")
    log = folder / "log"
    with running([sys.executable, "-m", "mlflow", "server", *place, "--port", str(port), "--workers", "1"], log):
        wait_until(lambda: answers(port), "mlflow server", log)
        forwarder = Forwarder(port)
        yield Served(forwarder, saved)
        forwarder.close()


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok
    except requests.RequestException:
        return False


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that tries again at every event."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(outboxes, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(outboxes, "TIMES", 0)


@pytest.mark.parametrize("mode", ["cut", "stall", "lose"])
@pytest.mark.parametrize(("first", "last"), [*((one, one) for one in MOMENTS), *LONG])
def test_nothing_is_lost_and_nothing_is_there_twice(
    served: Served, tmp_path: Path, mode: Any, first: str, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = MOMENTS[MOMENTS.index(first) : MOMENTS.index(last) + 1]

    def at(moment: str) -> None:
        """The client gives up after a second while the server is away; one that is there may be slow, as the machine is."""
        served.forwarder.mode = mode if moment in away else "pass"
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1" if moment in away else "60")

    name = f"{mode}, {first} to {last}"
    parent, child = compare(served, tmp_path, name, at)
    at("afterwards")
    with open_run(uri=served.forwarder.uri, **facts("afterwards")):
        pass
    runs = {run.name: run for run in list_runs(served.forwarder.uri, "outages") if run.name.startswith(name)}
    assert runs.keys() == {f"{name} parent", f"{name} child"}
    assert len([run for run in list_runs(served.forwarder.uri, "outages") if run.name.startswith(name)]) == 2
    assert runs[f"{name} child"].parent == runs[f"{name} parent"].run_id
    for tracker, run in ((parent, runs[f"{name} parent"]), (child, runs[f"{name} child"])):
        assert find_run(served.forwarder.uri, tracker.run_id).run_id == run.run_id
        whole(run)


def compare(served: Served, tmp_path: Path, name: str, at: Callable[[str], None]) -> tuple[Tracker, Tracker]:
    """A parent and its child, each with a metric of three epochs, a file, a folder and a model; `at` is told of every moment."""
    uri = served.forwarder.uri
    at("parent opens")
    with open_run(uri=uri, **facts(f"{name} parent")) as parent:
        write(parent, served.saved, tmp_path, "parent", at)
        at("child opens")
        with open_run(uri=uri, parent=parent.run_id, **facts(f"{name} child")) as child:
            write(child, served.saved, tmp_path, "child", at)
            at("child ends")
        at("parent ends")
    return parent, child


def write(run: Tracker, saved: Path, tmp_path: Path, who: str, at: Callable[[str], None]) -> None:
    for step in range(1, 4):
        if step == 2:
            at(f"{who} metric")
        run.epoch(step, {"loss": 1 / step})
    at(f"{who} artifact")
    report = tmp_path / f"{who} report"
    report.mkdir()
    (report / "report.html").write_text(f"of the {who}", encoding="utf-8")
    run.artifact(report / "report.html")
    shutil.copytree(report, report / "figures")
    run.artifact(report / "figures", "more")
    shutil.rmtree(report)
    at(f"{who} model")
    run.write({"kind": "model", "path": str(shutil.copytree(saved, tmp_path / f"{who} served"))})
    shutil.rmtree(tmp_path / f"{who} served")


def whole(run: FoundRun) -> None:
    """Everything that was written is in the store, once."""
    client, who = connect(run.uri), run.name.rpartition(" ")[2]
    assert run.status == "FINISHED"
    history = sorted((each.step, each.value) for each in client.get_metric_history(run.run_id, "loss"))
    assert history == [(step, 1 / step) for step in range(1, 4)]
    assert download(run, "report.html").read_text(encoding="utf-8") == f"of the {who}"
    assert download(run, "more/figures/report.html").read_text(encoding="utf-8") == f"of the {who}"
    logged = client.search_logged_models([client.get_run(run.run_id).info.experiment_id])
    assert [each.status.value for each in logged if each.source_run_id == run.run_id] == ["READY"]
    assert len(client.get_run(run.run_id).outputs.model_outputs) == 1
    assert {check.verdict for check in check_signed(run)} == {"same"}


def facts(name: str) -> dict[str, Any]:
    known = {"experiment": "outages", "name": name, "paradigm": "i2m2", "task": "knee", "seed": 0}
    return known | {"config": {"training": {"epochs": 3}}, "manifest": {"fingerprint": "ab" * 32}}
