"""Events of a run into its store: what an event needs to know, such as ids, is looked up when it is sent, not when it is written.

Every event may be sent twice: a store that was slow has perhaps carried out what it never confirmed. A run is created with
its ticket as a tag, and found by it again; everything else overwrites itself with the same content (events.py).
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from i2m2_med.console import say
from i2m2_med.engine.tracking.events import send
from i2m2_med.engine.tracking.outbox import TICKET, Event, Outbox, spool
from i2m2_med.engine.tracking.ownership import check_writer, hold_run, is_held, lives
from i2m2_med.engine.tracking.store import Away, Missing, experiment_id, translated
from i2m2_med.errors import StoreError
from i2m2_med.files import exclusive

if TYPE_CHECKING:
    from mlflow import MlflowClient


def deliver(client: "MlflowClient", uri: str, outbox: Outbox, event: Event) -> None:
    """Send one event of the run that `outbox` belongs to. Raises what the store raises."""
    if event["kind"] == "create":
        if not outbox.noted("run"):
            outbox.note("run", create_run(client, uri, outbox.ticket, event))
    elif event["kind"] == "resume":
        begin_resumed(client, outbox, event["tags"])
    elif event["kind"] == "tags below":
        with suppress(Missing), translated(uri):  # who deleted that run meanwhile wants no tags of it
            send(client, uri, id_of(client, uri, event["run"]), event | {"kind": "tags"})
    else:
        send(client, uri, outbox.noted("run") or "", event)


def create_run(client: "MlflowClient", uri: str, ticket: str, event: Event, again: bool = True) -> str:
    """The id of the run of this ticket: it is created, unless (`again`) an earlier try has done so without being told."""
    if again and (known := find_ticket(client, ticket)):
        return known
    parent = id_of(client, uri, event["parent"]) if event["parent"] else None
    tags: dict[str, str] = event["tags"] | ({"mlflow.parentRunId": parent} if parent else {})
    experiment = experiment_id(client, uri, event["experiment"])
    return client.create_run(experiment, event["time"], tags, event["name"]).info.run_id


def begin_resumed(client: "MlflowClient", outbox: Outbox, tags: dict[str, str]) -> None:
    """Make the process that resumed a run while its store was away the run's writer in the store too."""
    run = outbox.noted("run") or ""
    for name, value in tags.items():
        client.set_tag(run, name, value)
    client.update_run(run, status="RUNNING")
    outbox.note("claim", tags["i2m2.claim"])


def id_of(client: "MlflowClient", uri: str, run: str) -> str:
    """The id in the store of a run that goes by its id or its ticket. One that waits to be created is created now.

    Raises Missing for a ticket that neither this workspace nor the store knows.
    """
    if not run.startswith(TICKET):
        return run
    outbox = Outbox(spool() / run)
    if not outbox.folder.is_dir():
        known = find_ticket(client, run)
    else:
        with exclusive(outbox.folder / "create.lock"):  # several children may be the first to need their parent
            for event in outbox.waiting():
                deliver(client, uri, outbox, event)
                break
            known = outbox.noted("run") or find_ticket(client, run)
    if not known:
        raise Missing(f"the run {run} is neither in this workspace nor in the store, so no run can be put under it")
    return known


def find_ticket(client: "MlflowClient", ticket: str) -> str | None:
    """The id of the run that was created with this ticket, if there is one."""
    experiments = [each.experiment_id for each in client.search_experiments()]
    matches = client.search_runs(experiments, f"tags.`i2m2.ticket` = '{ticket}'", max_results=1) if experiments else []
    return matches[0].info.run_id if matches else None


def send_kept(client: "MlflowClient", uri: str, outbox: Outbox) -> None:
    """Send what `outbox` holds, oldest first; the store's trouble is raised and the rest stays.

    Raises StoreError if another process has taken the run over since.
    """
    if outbox.holds_any() and (run := outbox.noted("run")):
        check_writer(client, run, outbox)
    outbox.send_all(lambda event: deliver(client, uri, outbox, event))


def send_left_over(client: "MlflowClient", uri: str) -> None:
    """Send what runs of processes that are gone could not. A parent is created before its first child, whoever is sent first."""
    for folder in sorted(path.parent for path in spool().glob("*/events.jsonl")):
        outbox = Outbox(folder)
        if outbox.noted("store") == uri:
            _send_one_left_over(client, uri, outbox)


def _send_one_left_over(client: "MlflowClient", uri: str, outbox: Outbox) -> None:
    """One that the store refuses (its run was deleted, say) is named, and holds nobody else up; one that is written is passed over."""
    if is_held(outbox.ticket):
        return
    try:
        with hold_run(outbox.ticket), translated(uri):
            send_kept(client, uri, outbox)
    except Away:
        raise
    except StoreError as trouble:
        say(f"tracking: the run kept in {outbox.folder} can't be sent: {trouble}")
    else:
        say(f"tracking: sent the run that was kept in {outbox.folder}")


def mark_killed(client: "MlflowClient") -> list[str]:
    """Mark as KILLED every RUNNING run of ours that gives no sign of life any more; returns their ids."""
    experiments = [each.experiment_id for each in client.search_experiments()]
    running = client.search_runs(experiments, "attributes.status = 'RUNNING'", max_results=1000) if experiments else []
    ours = [run for run in running if "i2m2.claim" in run.data.tags]
    return [run.info.run_id for run in ours if not lives(run) and _marked(client, run.info.run_id)]


def _marked(client: "MlflowClient", run_id: str) -> bool:
    """Whether the run could be marked; other people's runs on a server may not be ours to change."""
    from mlflow.exceptions import MlflowException

    try:
        client.set_tag(run_id, "i2m2.killed", "it gave no sign of life at a later start")
        client.set_terminated(run_id, "KILLED")
    except MlflowException as error:
        if error.error_code != "PERMISSION_DENIED":
            raise
        return False
    return True
