"""Who writes a run: one process at a time; runs whose process is gone are KILLED and may be resumed."""

import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from i2m2_med.engine.tracking.provenance import still_runs
from i2m2_med.engine.tracking.store import translated
from i2m2_med.errors import StoreError
from i2m2_med.files import exclusive
from i2m2_med.workspace import workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


def mark_killed(client: "MlflowClient") -> list[str]:
    """Mark as KILLED every RUNNING run of this host whose process is gone; returns their ids."""
    experiments = [each.experiment_id for each in client.search_experiments()]
    running = client.search_runs(experiments, "attributes.status = 'RUNNING'", max_results=1000)
    gone = [run.info.run_id for run in running if "i2m2.pid" in run.data.tags and still_runs(run.data.tags) is False]
    return [run_id for run_id in gone if _marked(client, run_id)]


def _marked(client: "MlflowClient", run_id: str) -> bool:
    """Whether the run could be marked; other people's runs on a server may not be ours to change."""
    from mlflow.exceptions import MlflowException

    try:
        client.set_tag(run_id, "i2m2.killed", "its process was gone at a later start")
        client.set_terminated(run_id, "KILLED")
    except MlflowException as error:
        if error.error_code != "PERMISSION_DENIED":
            raise
        return False
    return True


@contextmanager
def hold_run(run_id: str) -> Generator[None]:
    """Be the only process of this workspace that writes `run_id`; freed by the operating system when the process ends."""
    with exclusive(_lock(run_id), _busy(run_id, "another process of this workspace")):
        yield


def is_held(run_id: str) -> bool:
    """Whether a living process of this workspace writes `run_id`."""
    try:
        with hold_run(run_id):
            return False
    except StoreError:
        return True


def take_over(client: "MlflowClient", uri: str, run_id: str, tags: dict[str, str]) -> None:
    """Make this process the writer of an ended run, or raise StoreError: it is being written, or someone was faster.

    The store has no lock to offer, so each claimant writes its name, waits, and reads whose name stayed.
    """
    with translated(uri):
        run = client.get_run(run_id)
        _writer_is_gone(run.info.status, run_id, run.data.tags)
        claim = uuid.uuid4().hex
        client.set_tag(run_id, "i2m2.claim", claim)
        time.sleep(0.5)
        now = client.get_run(run_id)
        if now.data.tags["i2m2.claim"] != claim or now.info.status != run.info.status:
            raise _busy(run_id, "another process that resumed it at the same moment")
        for name, value in tags.items():
            client.set_tag(run_id, name, value)
        client.update_run(run_id, status="RUNNING")


def _writer_is_gone(status: str, run_id: str, tags: dict[str, str]) -> None:
    if status != "RUNNING":
        return
    lives = still_runs(tags)
    if lives:
        raise _busy(run_id, f"process {tags['i2m2.pid']} of this host")
    if lives is None:
        host = tags.get("i2m2.host", "unknown")
        advice = (
            f"wait until it ends. If that process is dead, start any run on {host}, which marks it KILLED, then resume"
        )
        raise _busy(run_id, f"a process of the host {host}, as far as the store knows", advice)


def _busy(run_id: str, who: str, advice: str = "wait until it ends") -> StoreError:
    return StoreError(f"run {run_id} is being written by {who}; {advice}")


def _lock(run_id: str) -> Path:
    return workspace() / "locks" / f"{run_id}.lock"
