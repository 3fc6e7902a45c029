"""Runs in MLflow: opened, written to while training, closed with what became of them.

Every run is named explicitly (no global state of MLflow), so parents, children and several runs at once work. Everything
written is an event (tracking_send.py). While the store can't be reached, events are kept on disk (tracking_outbox.py) and sent
when it is back, at the latest at the next start; the training goes on.
"""

import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.console import say
from i2m2_med.engine.tracking import provenance
from i2m2_med.engine.tracking.events import metrics_event, send
from i2m2_med.engine.tracking.facts import facts_of, first_tags
from i2m2_med.engine.tracking.model import folder_digest
from i2m2_med.engine.tracking.outbox import Event, Outbox
from i2m2_med.engine.tracking.ownership import hold_run, mark_killed, take_over
from i2m2_med.engine.tracking.store import Away, connect, experiment_id, shown, translated
from i2m2_med.errors import StoreError
from i2m2_med.workspace import workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Tracker:
    """One open run. Every method returns at once or after one try; none raises because the store is away."""

    def __init__(self, client: "MlflowClient", uri: str, run_id: str, outbox: Outbox) -> None:
        self.run_id = run_id
        """The run's id in the store; starts with `spooled-` if the store was away when the run was opened."""
        self._client, self._uri, self._outbox = client, uri, outbox
        self._seen: set[tuple[str, int]] = set()

    def epoch(self, step: int, metrics: dict[str, float]) -> None:
        """Metrics of one epoch. A resumed run's epochs that are there already are not written twice."""
        event = metrics_event(metrics, step, _now())
        event["values"] = {key: value for key, value in event["values"].items() if (key, step) not in self._seen}
        self.write(event)

    def metrics(self, metrics: dict[str, float]) -> None:
        """Final metrics, without a step of their own."""
        self.write(metrics_event(metrics, 0, _now()))

    def tags(self, tags: dict[str, Any]) -> None:
        """Tags of the run; one that is there is replaced."""
        self.write({"kind": "tags", "values": {name: str(value) for name, value in tags.items()}})

    def params(self, params: dict[str, Any]) -> None:
        """Parameters, which MLflow never lets change."""
        self.write({"kind": "params", "values": {name: str(value) for name, value in params.items()}})

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file or a whole folder, put into `folder` of the run's artifacts under its own name."""
        self.write({"kind": "artifact", "path": str(path.absolute()), "folder": folder})

    def text(self, name: str, text: str) -> None:
        """A text as the artifact `name`."""
        self.write({"kind": "text", "name": name, "text": text})

    def model(self, folder: Path, example: Any = None) -> None:
        """The model folder (engine/artifact.py), as the artifact `model/` and as an MLflow model that can be served.

        `example` is one input of the served model (a DataFrame); by default the documented one.
        """
        import tempfile

        from i2m2_med.engine.tracking.model import save_model

        with tempfile.TemporaryDirectory() as beside:
            copy = Path(beside) / "model"
            copy.symlink_to(folder.absolute())
            self.write({"kind": "artifact", "path": str(copy), "folder": ""})
            saved = save_model(folder, Path(beside) / "served", example)
            self.write({"kind": "model", "path": str(saved)})
        self.tags({"i2m2.model_sha256": folder_digest(folder)})

    def end(self, status: str) -> None:
        """Close the run: FINISHED, FAILED or KILLED."""
        self.write({"kind": "end", "status": status, "time": _now()}, last=True)
        if self._outbox.holds_any():
            say(
                f"tracking: {shown(self._uri)} is still away; the run is kept in {self._outbox.folder} and sent at the next start"
            )

    def already_there(self, seen: set[tuple[str, int]]) -> None:
        """The (metric, step) pairs that a resumed run holds."""
        self._seen = seen

    def write(self, event: Event, last: bool = False) -> None:
        """Send one event, or keep it while the store is away; `last` tries even if a try failed a moment ago."""
        if self._outbox.holds_any() and not (self._outbox.is_due() or last):
            self._outbox.keep(event)
            return
        try:
            with translated(self._uri):
                send_kept(self._client, self._uri, self._outbox)
                send(self._client, self.run_id, event)
        except Away as trouble:
            self.kept(event, trouble)

    def kept(self, event: Event, trouble: Away) -> None:
        """Keep `event` for later, and say so if this is the run's first."""
        if not self._outbox.noted("said"):
            say(
                f"tracking: {trouble}; the training goes on, and what it reports is kept in {self._outbox.folder} and sent later"
            )
        if not self._outbox.noted("run"):
            self._outbox.note("run", self.run_id)
        self._outbox.note("store", self._uri)
        self._outbox.note("said", "yes")
        self._outbox.failed()
        self._outbox.keep(event)


@contextmanager
def open_run(
    *,
    uri: str,
    experiment: str,
    name: str,
    paradigm: str,
    task: str,
    seed: int,
    config: dict[str, Any],
    manifest: dict[str, Any],
    parent: str | None = None,
    resume: str | None = None,
    description: str = "",
    tags: dict[str, Any] | None = None,
    origins: dict[str, str] | None = None,
) -> Generator[Tracker]:
    """Open a run of `experiment` (or `resume` one), yield its Tracker, and close it with what became of the body.

    Logs the resolved `config` (and `origins`: where each value came from), the manifest's fingerprint as the run's input, code,
    lock, packages and machine. An exception in the body ends the run as FAILED, KeyboardInterrupt as KILLED. Before, runs of
    processes that are gone are marked KILLED, and what earlier runs could not send is sent.

    Raises StoreError if the store refuses (password, rights, schema, full disk), if `resume` names no run, one that was deleted,
    or one that another process writes. A store that is only away raises nothing: the run is kept on disk.
    """
    with translated(uri):
        client = connect(uri)
    facts = first_tags(paradigm, task, seed, config, manifest, description) | {
        k: str(v) for k, v in (tags or {}).items()
    }
    if resume:
        tracker = _resumed(client, uri, resume)
        facts = {"i2m2.resumed": "true", **provenance.process_tags()}
    else:
        tracker = _started(client, uri, experiment, name, facts, parent)
    with hold_run(tracker.run_id):
        if resume:
            take_over(client, uri, tracker.run_id, facts)
        else:
            for event in facts_of(paradigm, task, seed, config, manifest, origins):
                tracker.write(event)
        yield from _closing(tracker)


def _closing(tracker: Tracker) -> Generator[Tracker]:
    try:
        yield tracker
    except KeyboardInterrupt:
        with suppress(StoreError):  # the body's own error is the one to hear of
            tracker.end("KILLED")
        raise
    except BaseException as error:
        with suppress(StoreError):
            tracker.tags({"i2m2.error": type(error).__name__})  # not its words, which may quote the data
            tracker.end("FAILED")
        raise
    else:
        tracker.end("FINISHED")


def _started(
    client: "MlflowClient", uri: str, experiment: str, name: str, tags: dict[str, str], parent: str | None
) -> Tracker:
    create: Event = {
        "kind": "create",
        "experiment": experiment,
        "name": name,
        "tags": tags,
        "parent": parent,
        "time": _now(),
    }
    try:
        with translated(uri):
            mark_killed(client)
            send_left_over(client, uri)
            run_id = _create(client, uri, create)
        return Tracker(client, uri, run_id, Outbox(spool() / run_id))
    except Away as trouble:
        run_id = f"spooled-{uuid.uuid4().hex}"
        tracker = Tracker(client, uri, run_id, Outbox(spool() / run_id))
        tracker.kept(create, trouble)
        return tracker


def _create(client: "MlflowClient", uri: str, event: Event) -> str:
    parent: str | None = event["parent"]
    if parent and parent.startswith("spooled-"):
        parent = Outbox(spool() / parent).noted("run")
    tags: dict[str, str] = event["tags"] | ({"mlflow.parentRunId": parent} if parent else {})
    experiment = experiment_id(client, uri, event["experiment"])
    return client.create_run(experiment, event["time"], tags, event["name"]).info.run_id


def send_kept(client: "MlflowClient", uri: str, outbox: Outbox) -> None:
    """Send what `outbox` holds, oldest first; the store's trouble is raised and the rest stays."""

    def one(event: Event) -> None:
        if event["kind"] == "create":
            outbox.note("run", _create(client, uri, event))
        else:
            send(client, outbox.noted("run") or "", event)

    outbox.send_all(one)


def send_left_over(client: "MlflowClient", uri: str) -> None:
    """Send what runs of processes that are gone could not; parents were kept before their children."""
    from i2m2_med.engine.tracking.ownership import is_held

    folders = sorted((path for path in spool().glob("*/events.jsonl")), key=lambda path: path.parent.stat().st_ctime_ns)
    for outbox in (Outbox(path.parent) for path in folders):
        if outbox.noted("store") == uri and not is_held(outbox.folder.name):
            _send_one_left_over(client, uri, outbox)


def _send_one_left_over(client: "MlflowClient", uri: str, outbox: Outbox) -> None:
    """One that the store refuses (its run was deleted, say) is told of, and holds nobody else up."""
    try:
        with translated(uri):
            send_kept(client, uri, outbox)
    except Away:
        raise
    except StoreError as trouble:
        say(f"tracking: the run kept in {outbox.folder} can't be sent: {trouble}")
    else:
        say(f"tracking: sent the run that was kept in {outbox.folder}")


def spool() -> Path:
    """Where unsent events wait, one folder per run."""
    return workspace() / "spool"


def _resumed(client: "MlflowClient", uri: str, run_id: str) -> Tracker:
    from i2m2_med.engine.tracking.read import find_run

    found = find_run(uri, run_id)
    tracker = Tracker(client, uri, found.run_id, Outbox(spool() / found.run_id))
    with translated(uri):
        histories = [
            client.get_metric_history(found.run_id, key) for key in found.metrics if not key.startswith("test_")
        ]
    tracker.already_there({(each.key, each.step) for history in histories for each in history})
    return tracker


def _now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000
