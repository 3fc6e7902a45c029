"""Runs in MLflow: opened, written to while training, closed with what became of them.

Every run is named explicitly (no global state of MLflow), so parents, children and several runs at once work. Everything
written is an event (events.py). While the store can't be reached or is slow, events are kept on disk (outbox.py) and sent when it
is back, at the latest at the next start (delivery.py); the training goes on.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.console import say
from i2m2_med.engine.tracking.delivery import create_run, deliver, mark_killed, send_kept, send_left_over
from i2m2_med.engine.tracking.events import metrics_event
from i2m2_med.engine.tracking.facts import facts_of, first_tags, texts_of
from i2m2_med.engine.tracking.model import folder_digest
from i2m2_med.engine.tracking.outbox import Event, Outbox, new_ticket, outbox_of, spool
from i2m2_med.engine.tracking.ownership import Heartbeat, TakenOver, hold_run, take_over, writer_tags
from i2m2_med.engine.tracking.record import NAME, read_record, sign, write_down
from i2m2_med.engine.tracking.store import Away, connect, shown, translated
from i2m2_med.errors import StoreError, UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Tracker:
    """One open run. Every method returns at once or after one try; none raises because the store is away."""

    def __init__(self, client: "MlflowClient", uri: str, outbox: Outbox) -> None:
        self._client, self._uri, self._outbox = client, uri, outbox
        self._record = read_record(outbox)
        self.heartbeat = Heartbeat(client, uri, outbox)
        self.outcome = "FINISHED"
        """What becomes of the run where nothing goes wrong; SCHEDULED: others train what it waits for."""

    @property
    def run_id(self) -> str:
        """The run's id in the store; its ticket (`spooled-…`) while the store has not been reached. Both name it everywhere."""
        return self._outbox.noted("run") or self._outbox.ticket

    def epoch(self, step: int, metrics: dict[str, float]) -> None:
        """Metrics of one epoch. A resumed run's epochs that are there already are not written twice."""
        event = metrics_event(metrics, step, _now())
        new = {key: value for key, value in event["values"].items() if not self._record.has(key, step)}
        if new:
            self.write(event | {"values": new})

    def metrics(self, metrics: dict[str, float]) -> None:
        """Final metrics, without a step of their own."""
        self.write(metrics_event(metrics, 0, _now()))

    def tags(self, tags: dict[str, Any]) -> None:
        """Tags of the run; one that is there is replaced."""
        self.write({"kind": "tags", "values": {name: str(value) for name, value in tags.items()}})

    def tags_of(self, run: str, tags: dict[str, str]) -> None:
        """Tags of a run below this one, which may be closed; they are not signed."""
        self.write({"kind": "tags below", "run": run, "values": tags})

    def description(self, text: str) -> None:
        """The run's description in Markdown; `{run}` and `{experiment}` in it become the ids that the store gives."""
        self.write({"kind": "description", "text": text})

    def params(self, params: dict[str, Any]) -> None:
        """Parameters, which MLflow never lets change."""
        self.write({"kind": "params", "values": {name: str(value) for name, value in params.items()}})

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file or a whole folder, put into `folder` of the run's artifacts under its own name."""
        self.write({"kind": "artifact", "path": str(path.absolute()), "folder": folder})

    def text(self, name: str, text: str) -> None:
        """A text as the artifact `name`."""
        self.write({"kind": "text", "name": name, "text": text})

    def model(self, folder: Path, columns: Sequence[str] = ()) -> None:
        """Write the model folder (engine/prediction/predictor.py), as the artifact `model/` and as an MLflow model that can be served.

        columns: those by which a request to the served model may carry a study itself.
        """
        import tempfile

        from i2m2_med.engine.tracking.model import save_model

        with tempfile.TemporaryDirectory() as beside:
            copy = Path(beside) / "model"
            copy.symlink_to(folder.absolute())
            self.write({"kind": "artifact", "path": str(copy), "folder": ""})
            saved = save_model(folder, Path(beside) / "served", columns)
            self.write({"kind": "model", "path": str(saved)})
        self.tags({"i2m2.model_sha256": folder_digest(folder)})

    def end(self, status: str) -> None:
        """Close the run: FINISHED (then with the signed list of what it recorded), SCHEDULED, FAILED or KILLED."""
        if status == "FINISHED" and self._record.is_whole:
            self.text(NAME, sign(self._outbox, self._record))
        self.write({"kind": "end", "status": status, "time": _now()}, last=True)
        if self._outbox.holds_any():
            say(
                f"tracking: {shown(self._uri)} is still away; the run is kept in {self._outbox.folder} and sent at the next start"
            )

    def write(self, event: Event, last: bool = False) -> None:
        """Send one event, or keep it while the store is away or slow; `last` tries even if a try failed a moment ago."""
        if self.heartbeat.taken_over:
            raise self.heartbeat.taken_over
        event = event | {"seq": self._record.events}
        write_down(self._outbox, self._record, event)
        resting = not self._outbox.is_due() and (self._outbox.holds_any() or "path" not in event)
        if resting and not last:
            self._outbox.keep(event)
            return
        began = time.monotonic()
        try:
            with translated(self._uri):
                self._catch_up()
                deliver(self._client, self._uri, self._outbox, event)
        except StoreError as trouble:
            if isinstance(trouble, TakenOver):
                raise
            self.keep(event, trouble, time.monotonic() - began)
        else:
            self._outbox.answered(time.monotonic() - began)

    def first(self, create: Event) -> None:
        """Take down what the run is created with."""
        write_down(self._outbox, self._record, create)

    def keep(self, event: Event, trouble: StoreError, seconds: float = 0.0) -> None:
        """Keep `event` for later, and say so if this is the run's first. Raises `trouble` if even that is impossible."""
        try:
            self._outbox.keep(event)
        except OSError as error:
            raise trouble from error
        if self._outbox.noted("trouble") != str(trouble):
            say(
                f"tracking: {trouble}; the training goes on, and what it reports is kept in {self._outbox.folder} and sent later"
            )
            self._outbox.note("trouble", str(trouble))
        self._outbox.failed(seconds)

    def _catch_up(self) -> None:
        """Send what was kept, and say that the writer is alive: it may have been taken for gone meanwhile."""
        if self._outbox.holds_any():
            send_kept(self._client, self._uri, self._outbox)
            self.heartbeat.beat()


@contextmanager
def open_run(
    *,
    uri: str,
    experiment: str,
    name: str,
    paradigm: str,
    task: str,
    seed: int | None,
    config: dict[str, Any],
    manifest: dict[str, Any],
    parent: str | None = None,
    resume: str | None = None,
    tags: dict[str, Any] | None = None,
    origins: dict[str, str] | None = None,
) -> Generator[Tracker]:
    """Open a run of `experiment` (or `resume` one), yield its Tracker, and close it with what became of the body.

    Logs the resolved `config` (and `origins`: where each value came from), the manifest's fingerprint as the run's input, code,
    lock, packages and machine. seed: None for a run that others stand below. An exception in the body ends the run as FAILED, KeyboardInterrupt as KILLED. Before, runs of
    processes that are gone are marked KILLED, and what earlier runs could not send is sent.

    Raises StoreError if the store refuses (password, rights, schema, full disk), if `resume` names no run, one that was deleted,
    or one that another process writes. A store that is only away raises nothing: the run is kept on disk; so is a resumed run that
    was opened in this workspace.
    """
    with translated(uri):
        client = connect(uri)
    writer = writer_tags()
    texts = texts_of(config, manifest, origins)
    outbox = find_outbox(client, uri, resume) if resume else Outbox(spool() / new_ticket())
    with hold_run(outbox.ticket):
        tracker = Tracker(client, uri, outbox)
        if resume:
            begin_again(client, uri, tracker, outbox, writer)
            events = texts
        else:
            facts = first_tags(paradigm, task, seed, config, manifest)
            own = {key: str(value) for key, value in (tags or {}).items()} | {"i2m2.ticket": outbox.ticket}
            create: Event = {"kind": "create", "experiment": experiment, "name": name, "parent": parent, "time": _now()}
            begin(client, uri, tracker, outbox, create | {"tags": facts | own | writer})
            events = [*facts_of(paradigm, task, seed, config, manifest), *texts]
        for event in events:
            tracker.write(event)
        yield from _closing(tracker)


def begin(client: "MlflowClient", uri: str, tracker: Tracker, outbox: Outbox, create: Event) -> None:
    """Create the run in the store; while that is away, keep it. Raises StoreError if the store refuses."""
    create |= {"seq": 0}
    outbox.note("store", uri)
    outbox.note("claim", create["tags"]["i2m2.claim"])
    tracker.first(create)
    began = time.monotonic()
    try:
        with translated(uri):
            mark_killed(client)
            send_left_over(client, uri)
            outbox.note("run", create_run(client, uri, outbox.ticket, create, again=False))
    except Away as trouble:
        tracker.keep(create, trouble, time.monotonic() - began)
    except BaseException:
        outbox.discard()
        raise


def find_outbox(client: "MlflowClient", uri: str, run: str) -> Outbox:
    """The folder of a run that is to be resumed; what earlier processes could not send is sent before.

    Raises Missing if there is no such run, and Away if the store can't be asked and this workspace does not know it.
    """
    from i2m2_med.engine.tracking.read import Missing, find_run

    try:
        with translated(uri):
            send_left_over(client, uri)
            mark_killed(client)
        stored_run = find_run(uri, run)
    except Away:
        known = outbox_of(run)
        if not known.noted("store"):
            raise
        return known
    except Missing as error:
        raise Missing(
            f"{error}. What is to be gone on with belongs to that run: put the store back as it was, or begin anew without "
            "--resume (parts: in a new I2M2_WORK)"
        ) from error
    outbox = Outbox(spool() / stored_run.tags.get("i2m2.ticket", stored_run.run_id))
    outbox.note("run", stored_run.run_id)
    outbox.note("store", uri)
    return outbox


def begin_again(client: "MlflowClient", uri: str, tracker: Tracker, outbox: Outbox, writer: dict[str, str]) -> None:
    """Make this process the writer of an earlier run; while the store is away, as soon as it is back."""
    tags = writer | {"i2m2.resumed": "true"}
    try:
        if outbox.holds_any() or not outbox.noted("run"):
            raise Away(f"{shown(uri)} is away")
        take_over(client, uri, outbox.noted("run") or "", tags)
    except Away as trouble:
        tracker.keep({"kind": "resume", "tags": tags}, trouble)
    else:
        outbox.note("claim", writer["i2m2.claim"])


def _closing(tracker: Tracker) -> Generator[Tracker]:
    tracker.heartbeat.start()
    try:
        yield tracker
    except KeyboardInterrupt:
        with suppress(UserError, OSError):  # the body's own error is the one to hear of
            tracker.end("KILLED")
        raise
    except BaseException as error:
        with suppress(UserError, OSError):
            tracker.tags({"i2m2.error": type(error).__name__})  # not its words, which may quote the data
            tracker.end("FAILED")
        raise
    else:
        tracker.end(tracker.outcome)
    finally:
        tracker.heartbeat.stop()


def _now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000
