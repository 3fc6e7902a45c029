"""Who writes a run: one process at a time. A run whose writer gives no sign of life is KILLED, and may be resumed by its id.

Signs of life, whoever asks and wherever:
- In the same workspace on the same machine (containers included) the writer holds a lock file, which the operating system frees
  when the process ends, however it ends. So its end is known at once.
- From anywhere else, the writer puts the time into the run's tag `i2m2.heartbeat` every BEAT seconds. A writer that was silent for
  SILENT seconds counts as gone: `resume` works that long after a machine died. Clocks of the machines may differ by
  SILENT - 2 BEAT seconds (four minutes). A writer that is only cut off from its store marks itself RUNNING again when it is back;
  if it was resumed meanwhile it stops, because two writers would mix their numbers.
Host names and process ids say nothing: two containers may share both.
"""

import hashlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from i2m2_med.engine.tracking.outbox import Outbox
from i2m2_med.engine.tracking.store import translated
from i2m2_med.errors import StoreError
from i2m2_med.files import exclusive
from i2m2_med.workspace import workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BEAT = 30.0
"""Seconds between two signs of life."""
SILENT = 300.0
"""Seconds without a sign of life after which a writer counts as gone."""


class TakenOver(StoreError):
    """Another process writes the run now."""


class Heartbeat:
    """Signs of life of one open run, from a thread of its own: an epoch may take hours."""

    def __init__(self, client: "MlflowClient", uri: str, outbox: Outbox) -> None:
        self._client, self._uri, self._outbox = client, uri, outbox
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat {outbox.ticket}", daemon=True)
        self.taken_over: TakenOver | None = None
        """Set once another process has taken the run over."""

    def start(self) -> None:
        """Begin; the run's own start counts as the first sign."""
        self._thread.start()

    def stop(self) -> None:
        """End, without waiting for a store that does not answer."""
        self._stop.set()
        self._thread.join(timeout=1)

    def beat(self) -> None:
        """Give a sign of life now, and call the run RUNNING if someone took the writer for gone."""
        run_id = self._outbox.noted("run")
        if not run_id:
            return
        with translated(self._uri):
            run = check_writer(self._client, run_id, self._outbox)
            if run.info.status == "KILLED" and not self._stop.is_set():
                self._client.update_run(run_id, status="RUNNING")
            self._client.set_tag(run_id, "i2m2.heartbeat", now())

    def _run(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                self.beat()
            except TakenOver as error:
                self.taken_over = error
                return
            except StoreError:  # away at the moment: the next sign may get through
                continue


def writer_tags() -> dict[str, str]:
    """Who writes the run from now on: a claim that nobody else has, where its lock lies, and a first sign of life."""
    claim = uuid.uuid4().hex
    return {"i2m2.claim": claim, "i2m2.lock": lock_place(), "i2m2.heartbeat": now(), "i2m2.host": socket.gethostname()}


def lives(run: "Run") -> bool:
    """Whether the writer of a RUNNING run gives signs of life."""
    tags = run.data.tags
    if tags.get("i2m2.lock") == lock_place():
        return is_held(tags.get("i2m2.ticket", run.info.run_id))
    return silence(run) < SILENT


def silence(run: "Run") -> float:
    """Seconds since the last sign of life; of runs of older releases, which give none, since their start."""
    last = run.data.tags.get("i2m2.heartbeat", "")
    return time.time() - (int(last) if last.isdecimal() else run.info.start_time or 0) / 1000


def check_writer(client: "MlflowClient", run_id: str, outbox: Outbox) -> "Run":
    """The run, if the process of this outbox is its writer still. Raises TakenOver if not."""
    run = client.get_run(run_id)
    claim = outbox.noted("claim")
    if claim and run.data.tags.get("i2m2.claim", claim) != claim:
        raise TakenOver(
            f"run {run_id} was resumed by another process while this one was cut off from the store; what this one did since is"
            f" in {outbox.folder}"
        )
    return run


@contextmanager
def hold_run(ticket: str, patience: float = 1.0) -> Generator[None]:
    """Be the only process of this workspace that writes the run; freed by the operating system when the process ends.

    patience: seconds to try for: others take the lock for a moment to see whether it is free.
    """
    busy = _busy(ticket, "another process of this workspace")
    with exclusive(lock_folder() / f"{ticket}.lock", busy, patience=patience):
        yield


def is_held(ticket: str) -> bool:
    """Whether a living process of this workspace writes the run."""
    try:
        with hold_run(ticket, patience=0.0):
            return False
    except StoreError:
        return True


def take_over(client: "MlflowClient", uri: str, run_id: str, tags: dict[str, str]) -> None:
    """Make this process the writer of a run, or raise StoreError: it is being written, or someone was faster.

    tags: of `writer_tags`. The store has no lock to offer, so each claimant writes its claim, waits, and reads whose stayed.
    """
    with translated(uri):
        run = client.get_run(run_id)
        if run.info.status == "RUNNING" and not is_ours(run) and lives(run):
            ago = f"whose last sign of life is {max(silence(run), 0):.0f} s old"
            raise _busy(run_id, f"a process {ago}", f"wait until it ends; once it is silent for {SILENT:.0f} s, resume")
        client.set_tag(run_id, "i2m2.claim", tags["i2m2.claim"])
        time.sleep(0.5)
        again = client.get_run(run_id)
        if again.data.tags["i2m2.claim"] != tags["i2m2.claim"] or again.info.status != run.info.status:
            raise _busy(run_id, "another process that resumed it at the same moment")
        for name, value in tags.items():
            client.set_tag(run_id, name, value)
        client.update_run(run_id, status="RUNNING")


def is_ours(run: "Run") -> bool:
    """Whether the run's lock is this workspace's: whoever resumes it holds that lock already."""
    return run.data.tags.get("i2m2.lock") == lock_place()


def lock_folder() -> Path:
    """Where the lock files of runs are."""
    return workspace() / "locks"


def lock_place() -> str:
    """A hash of machine and folder, equal for all processes whose lock files are the same ones under the same kernel."""
    folder = lock_folder()
    folder.mkdir(parents=True, exist_ok=True)
    boot = Path("/proc/sys/kernel/random/boot_id")
    machine = boot.read_text(encoding="utf-8").strip() if boot.exists() else f"{psutil.boot_time():.0f}"
    place = folder.stat()
    return hashlib.sha256(f"{machine} {place.st_dev} {place.st_ino} {os.name}".encode()).hexdigest()[:16]


def now() -> str:
    """Milliseconds since 1970, as MLflow counts, as text."""
    return str(time.time_ns() // 1_000_000)


def _busy(run_id: str, who: str, advice: str = "wait until it ends") -> StoreError:
    return StoreError(f"run {run_id} is being written by {who}; {advice}")
