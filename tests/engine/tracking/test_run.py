"""A run says where it came from, survives its server's absence and its own death, and is written by one process at a time."""

import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from i2m2_med.cores import usable_cores
from i2m2_med.engine.reopening.signed import check_signed
from i2m2_med.engine.tracking import outbox as outboxes
from i2m2_med.engine.tracking import read as reading
from i2m2_med.engine.tracking.delivery import send_left_over
from i2m2_med.engine.tracking.events import metric_key
from i2m2_med.engine.tracking.outbox import Outbox
from i2m2_med.engine.tracking.page import VIEW
from i2m2_med.engine.tracking.read import children, download, find_run, list_runs
from i2m2_med.engine.tracking.store import Away, connect
from i2m2_med.errors import StoreError
from tests.services import running

Opening = Callable[..., Any]


def test_a_run_says_where_it_came_from(store: str, opening: Opening) -> None:
    with opening(tags={"note": 1}, origins={"a.b": "line 3"}) as run:
        run.metrics({"auroc_mean": 0.75})
    found = find_run(store, run.run_id)
    assert found.status == "FINISHED"
    assert found.params == {"paradigm": "i2m2", "task": "knee", "seed": "3", "data": "abababababab", "a.b": "1"}
    assert found.tags["i2m2.fingerprint"] == "ab" * 32
    assert found.tags["note"] == "1"
    assert {"i2m2.commit", "i2m2.dirty", "i2m2.lock_sha256", "i2m2.machine", "i2m2.code_sha256"} <= found.tags.keys()
    assert found.tags["mlflow.note.content"].startswith("i2m2 on knee, seed 3, data abababababab, code ")
    assert yaml.safe_load(download(found, "config.yaml").read_text(encoding="utf-8")) == {"a": {"b": 1}}
    assert json.loads(download(found, "config_origins.json").read_text(encoding="utf-8")) == {"a.b": "line 3"}
    environment = json.loads(download(found, "environment.json").read_text(encoding="utf-8"))
    assert environment["packages"]["mlflow"]
    assert environment["machine"]["cores"] == usable_cores()


def test_the_data_are_an_input_of_the_run_and_name_no_file(store: str, opening: Opening) -> None:
    with opening() as run:
        pass
    inputs = connect(store).get_run(run.run_id).inputs.dataset_inputs
    logged = {one.tags[0].value: one.dataset for one in inputs}
    assert {split: (one.name, one.digest) for split, one in logged.items()} == {
        split: (f"knee {split}", ("ab" * 32)[:36]) for split in ("train", "test")
    }
    assert json.loads(logged["test"].profile) == {"samples": 3}
    everything = "".join(one.profile + one.source for one in logged.values()) + download(
        find_run(store, run.run_id), "manifest.json"
    ).read_text(encoding="utf-8")
    assert "file1000417" not in everything
    assert "p1" not in everything
    assert (
        json.loads(download(find_run(store, run.run_id), "manifest.json").read_text(encoding="utf-8"))["n_files"] == 1
    )


def test_metrics_keep_their_step_and_odd_values(store: str, opening: Opening) -> None:
    with opening() as run:
        for step, value in enumerate([0.5, math.nan, math.inf]):
            run.epoch(step, {"nll@valid (mean)": value})
    history = connect(store).get_metric_history(run.run_id, metric_key("nll@valid (mean)"))
    assert [(each.step, math.isnan(each.value)) for each in history] == [(0, False), (1, True), (2, True)]


@pytest.mark.parametrize("key", ["a@b", "x#1", "p=0.05", "f(x)", "mort/auroc", "Ödem", "a" * 300])
def test_any_metric_name_is_accepted(opening: Opening, store: str, key: str) -> None:
    with opening() as run:
        run.metrics({key: 1.0})
    assert list(find_run(store, run.run_id).metrics.values()) == [1.0]


def test_children_of_a_comparison(store: str, opening: Opening) -> None:
    with opening(paradigm="compare") as parent:
        for seed in (0, 1):
            with opening(parent=parent.run_id, seed=seed):
                pass
    found = children(find_run(store, parent.run_id))
    assert [run.params["seed"] for run in found] == ["0", "1"]
    assert len(list_runs(store)) == 3


def test_a_comparison_has_no_seed_a_description_with_ids_and_writes_into_its_closed_runs(
    store: str, opening: Opening
) -> None:
    with opening(paradigm="comparison", seed=None, tags={"seeds": "0, 1"}) as parent:
        with opening(parent=parent.run_id) as run:
            pass
        parent.description("run {run} of {experiment}")
        parent.tags_of(run.run_id, {"difference": "+0.1"})
    found, child = (find_run(store, one.run_id) for one in (parent, run))
    info = connect(store).get_run(parent.run_id).info
    assert found.tags["mlflow.note.content"] == f"run {parent.run_id} of {info.experiment_id}"
    assert "seed" not in {**found.tags, **found.params}
    assert found.tags["seeds"] == "0, 1"
    assert (child.tags["difference"], child.status) == ("+0.1", "FINISHED")
    assert "difference" not in found.tags
    assert all(check.verdict == "same" for one in (found, child) for check in check_signed(one))


def test_what_a_comparison_says_is_kept_while_the_store_is_away_and_then_sent_once(
    store: str, opening: Opening, free_port: int
) -> None:
    """Opened for a server that is not there; sent to a store that is."""
    away = {"uri": f"http://127.0.0.1:{free_port}"}
    with opening(**away, paradigm="comparison", seed=None) as parent:
        with opening(**away, parent=parent.run_id) as run:
            run.metrics({"test/auroc": 0.75})
        parent.description("run {run}")
        parent.tags_of(run.run_id, {"difference": "+0.1"})
    tickets = [parent.run_id, run.run_id]
    assert all(ticket.startswith("spooled-") for ticket in tickets)
    for ticket in tickets:
        Outbox(outboxes.spool() / ticket).note("store", store)
    for _ in range(2):
        send_left_over(connect(store), store)
    found, child = (find_run(store, ticket) for ticket in tickets)
    assert found.tags["mlflow.note.content"] == f"run {found.run_id}"
    assert (child.parent, child.tags["difference"], child.metrics) == (found.run_id, "+0.1", {"test/auroc": 0.75})
    assert [one.status for one in (found, child)] == ["FINISHED"] * 2
    assert len(list_runs(store)) == 2


def test_the_experiment_keeps_a_view_for_reviewers(store: str, opening: Opening, tmp_path: Path) -> None:
    client = connect(store)
    by_hand = client.create_experiment("by hand", tmp_path.as_uri())
    with opening(experiment="ours"), opening(experiment="by hand"):
        pass
    for experiment in (client.get_experiment_by_name("ours").experiment_id, by_hand):
        view = json.loads(client.get_experiment(experiment).tags[f"mlflow.sharedViewState.{VIEW}"])
        assert json.loads(view["state"])["selectedColumns"][0] == "tags.`paradigm`"
    assert list_runs(store, "other") == []


@pytest.mark.parametrize(("thrown", "status"), [(ValueError("Mr Smith"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_an_error_ends_the_run_and_is_not_quoted(
    store: str, opening: Opening, thrown: BaseException, status: str
) -> None:
    with pytest.raises(type(thrown)), opening() as run:
        raise thrown
    found = find_run(store, run.run_id)
    assert found.status == status
    assert "Smith" not in str(found)


def test_artifacts_and_the_model(store: str, opening: Opening, tmp_path: Path) -> None:
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"w")
    with opening() as run:
        run.artifact(folder / "weights.safetensors", "figures")
        run.model(folder)
    found = find_run(store, run.run_id)
    assert download(found, "figures/weights.safetensors").read_bytes() == b"w"
    assert download(found, "model/weights.safetensors").read_bytes() == b"w"
    outputs = connect(store).get_run(run.run_id).outputs.model_outputs
    saved = Path(connect(store).get_logged_model(outputs[0].model_id).artifact_location.removeprefix("file://"))
    described = yaml.safe_load((saved / "MLmodel").read_text(encoding="utf-8"))
    assert described["run_id"] == run.run_id
    assert described["flavors"]["python_function"]["model_code_path"].endswith("pyfunc_model.py")
    assert all("==" in line for line in (saved / "requirements.txt").read_text(encoding="utf-8").splitlines())
    assert [path.suffix for path in saved.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".pth")] == []


# ---- absence of the server


@contextmanager
def a_server(store: str, port: int) -> Iterator[str]:
    """A real MLflow server on `store`."""
    folder = Path(store.removeprefix("sqlite:///")).parent
    place = ["--backend-store-uri", store, "--artifacts-destination", str(folder / "remote"), "--serve-artifacts"]
    command = [sys.executable, "-m", "mlflow", "server", *place, "--port", str(port), "--workers", "1"]
    with running(command):
        _wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"


def _wait_for(address: str) -> None:
    import requests

    for _ in range(240):
        try:
            if requests.get(address, timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    raise AssertionError(f"{address} never answered")


@pytest.mark.slow
def test_a_server_that_goes_and_comes_back(
    store: str, opening: Opening, tmp_path: Path, free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run trained without its server and a comparison that never saw it: all is sent at the next start, and said once."""
    (tmp_path / "report.html").write_text("report", encoding="utf-8")
    with a_server(store, free_port) as uri:
        running = opening(uri=uri)
        run = running.__enter__()
    for step in range(5):
        run.epoch(step, {"loss": 1.0 / (step + 1)})
    run.artifact(tmp_path / "report.html")
    (tmp_path / "report.html").unlink()
    running.__exit__(None, None, None)
    assert capsys.readouterr().err.count("can't be reached") == 1
    with opening(uri=uri, name="parent") as parent, opening(uri=uri, parent=parent.run_id, name="child") as child:
        child.epoch(0, {"loss": 0.25})
    assert parent.run_id.startswith("spooled-")
    with pytest.raises(StoreError, match="has not reached the store yet"):
        find_run(uri, child.run_id)
    with a_server(store, free_port) as uri:
        with opening(uri=uri):
            pass
        found = find_run(uri, run.run_id)
        assert len(connect(uri).get_metric_history(run.run_id, "loss")) == 5
        assert download(found, "report.html").read_text(encoding="utf-8") == "report"
        assert find_run(uri, child.run_id).metrics == {"loss": 0.25}
        assert find_run(uri, child.run_id).parent == find_run(uri, parent.run_id).run_id
        assert [each.status for each in list_runs(uri)] == ["FINISHED"] * 4
    assert "sent the run that was kept" in capsys.readouterr().err


class _Answer(BaseHTTPRequestHandler):
    code = 500

    def do_GET(self) -> None:
        self.send_response(self.code)
        self.end_headers()
        self.wfile.write(b"no")

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("code", "kind", "words"), [(500, Away, "broken"), (401, StoreError, "refuses the user")])
def test_what_a_server_answers_decides_whether_it_is_waited_for(
    opening: Opening, free_port: int, code: int, kind: type, words: str
) -> None:
    """A broken server is spooled; a wrong password is said before any time is spent."""
    server = HTTPServer(("127.0.0.1", free_port), type("Answer", (_Answer,), {"code": code}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        uri = f"http://127.0.0.1:{free_port}"
        with pytest.raises(kind, match=words):
            list_runs(uri)
        if kind is Away:
            with opening(uri=uri) as run:
                assert run.run_id.startswith("spooled-")
        else:
            with pytest.raises(kind, match=words), opening(uri=uri):
                pass
    finally:
        server.shutdown()
        server.server_close()


# ---- death and resumption

TRAIN_FOREVER = """
import os, sys, time
from i2m2_med.engine.tracking.store import ensure_store
from i2m2_med.engine.tracking.run import open_run
from i2m2_med.workspace import workspace
uri = ensure_store(workspace(), None)
resume = sys.argv[1] if len(sys.argv) > 1 else None
facts = dict(experiment="knee", name="x", paradigm="i2m2", task="knee", seed=0, config={}, manifest={})
with open_run(uri=uri, resume=resume, **facts) as run:
    run.epoch(0, {"loss": 1.0})
    run.epoch(1, {"loss": 0.5})
    print(run.run_id, flush=True)
    time.sleep(600)
"""


def _train_forever(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", TRAIN_FOREVER, *words], stdout=subprocess.PIPE, text=True)


def test_a_killed_run_is_marked_and_resumed_into_itself(store: str, opening: Opening) -> None:
    process = _train_forever()
    assert process.stdout
    run_id = process.stdout.readline().strip()
    with pytest.raises(StoreError, match="is being written by"), opening(resume=run_id):
        pass
    process.kill()
    process.communicate()
    assert find_run(store, run_id).status == "RUNNING"
    with opening():
        pass
    assert find_run(store, run_id).status == "KILLED"
    with opening(resume=run_id[:8]) as again:
        again.epoch(1, {"loss": 99.0})
        again.epoch(2, {"loss": 0.25})
    assert again.run_id == run_id
    found = find_run(store, run_id)
    assert (found.status, found.metrics, found.tags["i2m2.resumed"]) == ("FINISHED", {"loss": 0.25}, "true")
    assert sorted(each.value for each in connect(store).get_metric_history(run_id, "loss")) == [0.25, 0.5, 1.0]


def test_a_run_resumed_twice_at_once_is_refused(opening: Opening) -> None:
    with opening() as run:
        pass
    with opening(resume=run.run_id), pytest.raises(StoreError, match="is being written by"), opening(resume=run.run_id):
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # MLflow's connections outlive threads
def test_two_machines_that_resume_at_the_same_moment(store: str, opening: Opening) -> None:
    """Two workspaces share no lock file; the store's last claim wins and the other is told."""
    with opening() as run:
        pass
    results: list[str] = []
    start = threading.Barrier(2)

    def resume() -> None:
        from i2m2_med.engine.tracking.ownership import take_over, writer_tags

        start.wait()
        try:
            take_over(connect(store), store, run.run_id, writer_tags())
            results.append("resumed")
        except StoreError as error:
            results.append(str(error))

    threads = [threading.Thread(target=resume) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("resumed") == 1
    assert any("same moment" in said or "is being written" in said for said in results)


# ---- bad input


def test_a_run_that_is_not_there(store: str) -> None:
    with pytest.raises(StoreError, match=r"has no run 'f{32}'; `i2m2 runs` lists them"):
        find_run(store, "f" * 32)


def test_a_run_to_go_on_with_whose_store_was_deleted(opening: Opening) -> None:
    with pytest.raises(StoreError, match="put the store back as it was, or begin anew"):
        opening(resume="f" * 32).__enter__()


def test_a_run_that_was_deleted(store: str, opening: Opening) -> None:
    with opening() as run:
        pass
    connect(store).delete_run(run.run_id)
    for ask in (lambda: find_run(store, run.run_id), lambda: opening(resume=run.run_id).__enter__()):
        with pytest.raises(StoreError, match="was deleted"):
            ask()


def test_an_artifact_that_is_missing(store: str, opening: Opening) -> None:
    with opening() as run:
        pass
    with pytest.raises(StoreError, match=r"has no artifact 'report\.html'"):
        download(find_run(store, run.run_id), "report.html")


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store at"):
        list_runs(f"sqlite:///{tmp_path}/none.db")


def test_an_experiment_that_was_deleted(store: str, opening: Opening) -> None:
    with opening():
        pass
    client = connect(store)
    client.delete_experiment(client.get_experiment_by_name("knee").experiment_id)
    with pytest.raises(StoreError, match="experiment 'knee' was deleted"), opening():
        pass


def test_runs_are_listed_without_importing_mlflow(store: str, opening: Opening) -> None:
    with opening():
        pass
    asked = (
        "import sys; from i2m2_med.engine.tracking.read import list_runs;"
        f"print(len(list_runs({store!r})), 'mlflow' in sys.modules, 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["1", "False", "False"]


def test_a_kept_run_that_was_deleted_holds_nobody_up(
    store: str, opening: Opening, capsys: pytest.CaptureFixture[str]
) -> None:
    with opening() as lost:
        pass
    outbox = Outbox(outboxes.spool() / lost.run_id)
    outbox.note("store", store)
    outbox.note("run", lost.run_id)
    outbox.keep({"kind": "tags", "values": {"a": "b"}})
    connect(store).delete_run(lost.run_id)
    with opening() as run:
        pass
    assert find_run(store, run.run_id).status == "FINISHED"
    assert "can't be sent" in capsys.readouterr().err
    assert outbox.holds_any()


def test_a_run_that_never_reached_its_store_is_resumed_while_that_is_away(opening: Opening, free_port: int) -> None:
    """Its folder in the workspace says what was done: an epoch is not written twice, and the order is kept."""
    uri = f"http://127.0.0.1:{free_port}"
    with opening(uri=uri) as run:
        run.epoch(1, {"loss": 1.0})
    with opening(uri=uri, resume=run.run_id) as again:
        again.epoch(1, {"loss": 9.0})
        again.epoch(2, {"loss": 0.5})
    assert again.run_id == run.run_id
    kept = list(Outbox(outboxes.spool() / run.run_id).waiting())
    assert [event["values"]["loss"] for event in kept if event["kind"] == "metrics"] == [1.0, 0.5]
    kinds = [event["kind"] for event in kept]
    assert kinds[0] == "create"
    assert kinds.index("end") < kinds.index("resume")


def test_a_store_of_another_schema_is_read_through_mlflows_client(
    store: str, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opening() as run:
        run.metrics({"a": 1.5})
    direct = find_run(store, run.run_id)
    monkeypatch.setattr(reading, "TESTED_SCHEMAS", frozenset[str]())
    assert find_run(store, run.run_id) == direct
