"""Runs read back. A sqlite store of a known schema is read directly: importing MLflow takes seconds, and `i2m2 runs` has to answer
at once."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.documents import NotPlain, read_json, read_start, read_yaml
from i2m2_med.engine.tracking.outbox import TICKET, Outbox, spool
from i2m2_med.engine.tracking.store import (
    Missing,
    connect,
    local_artifacts,
    schema_of,
    schema_trouble,
    shown,
    sqlite_file,
    translated,
)
from i2m2_med.errors import SourceError, StoreError

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run


TESTED_SCHEMAS = frozenset({"dc11669786a5"})
"""Revisions of MLflow's tables that `_from_sqlite` was tested with; stores of others are asked through MLflow's client."""

COST_TAG = "i2m2.cost."
"""What the tags of a run begin with that say what its training took: parameters, epochs, seconds."""


@dataclass(frozen=True)
class FoundRun:
    """One run as the store holds it."""

    uri: str
    run_id: str
    name: str
    experiment: str
    status: str
    """RUNNING, FINISHED, FAILED, KILLED, or SCHEDULED (others train what it waits for)."""
    deleted: bool
    start: int
    """Milliseconds since 1970."""
    artifacts: str
    """URI of the run's artifact folder."""
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    """The last value of each metric; NaN where it is not a number."""

    @property
    def cost(self) -> dict[str, float]:
        """Parameters, epochs and seconds of training; empty for a run that was recorded before they were."""
        found = {name: value for name, value in self.tags.items() if name.startswith(COST_TAG)}
        return {name.removeprefix(COST_TAG): float(value) for name, value in found.items()}

    @property
    def parent(self) -> str | None:
        """The id of the comparison that the run belongs to."""
        return self.tags.get("mlflow.parentRunId")


def find_run(uri: str, run: str) -> FoundRun:
    """The run whose id is `run`, or alone begins with it (6 signs or more), or the newest whose name is `run`.

    Raises Missing if there is none, or if it was deleted.
    """
    if run.startswith(TICKET):
        return _by_ticket(uri, run)
    looks_like_id = 6 <= len(run) <= 32 and all(sign in "0123456789abcdef" for sign in run)
    matches = _runs(uri, run) if looks_like_id else []
    matches = matches or sorted((each for each in _runs(uri) if each.name == run), key=lambda each: each.start)[-1:]
    if len(matches) != 1:
        what = "no run" if not matches else f"{len(matches)} runs whose id begins with"
        raise Missing(f"{shown(uri)} has {what} {run!r}; `i2m2 runs` lists them")
    if matches[0].deleted:
        raise Missing(f"run {matches[0].run_id} was deleted from {shown(uri)}; restore it there, or name another")
    return matches[0]


def list_runs(uri: str, experiment: str | None = None) -> list[FoundRun]:
    """Every run that was not deleted, newest first; of one experiment if it is named."""
    kept = [run for run in _runs(uri) if not run.deleted and experiment in (None, run.experiment)]
    return sorted(kept, key=lambda run: -run.start)


def children(run: FoundRun) -> list[FoundRun]:
    """The runs of a comparison, oldest first."""
    return [each for each in reversed(list_runs(run.uri, run.experiment)) if each.parent == run.run_id]


def download(run: FoundRun, path: str) -> Path:
    """A local copy of the run's artifact `path` (a file or folder); read it only. Raises Missing if the run has none."""
    folder = local_artifacts(run.uri, run.artifacts)
    if folder:
        if not folder.is_dir():
            raise _moved(run, folder)
        if not (folder / path).exists():
            raise _no_artifact(run, path)
        return folder / path
    from mlflow.exceptions import MlflowException

    try:
        return Path(connect(run.uri).download_artifacts(run.run_id, path))
    except (MlflowException, OSError) as error:
        with translated(run.uri):  # away, or refused, is said as such
            connect(run.uri).get_run(run.run_id)
        raise _no_artifact(run, path) from error


def stored_document(run: FoundRun, path: str) -> dict[str, Any]:
    """The values of the run's artifact `path`, JSON or YAML, within the bounds of `documents`. Raises Missing if it is gone or damaged."""
    read = read_yaml if path.endswith(".yaml") else read_json
    try:
        content: Any = read(read_start(download(run, path)))
    except (NotPlain, OSError) as error:
        raise Missing(f"run {run.run_id}: {path} is damaged ({error}); train again") from error
    if not isinstance(content, dict):
        raise Missing(f"run {run.run_id}: {path} is damaged (it holds no names and values); train again")
    return content


def predictions(run: FoundRun) -> "pd.DataFrame":
    """The run's prediction table, also of an older release. Raises Missing if it is gone or damaged."""
    from i2m2_med.predictions import PREDICTIONS, read_table

    path = download(run, PREDICTIONS)
    try:
        return read_table(path)
    except SourceError as error:
        raise Missing(f"run {run.run_id}: {error}; train again") from error


def _no_artifact(run: FoundRun, path: str) -> Missing:
    return Missing(
        f"run {run.run_id} has no artifact {path!r} in {shown(run.artifacts)}; was it deleted, or did the run fail early?"
    )


def artifact_names(run: FoundRun) -> list[str]:
    """Every file of the run's artifacts, by its path below them."""
    folder = local_artifacts(run.uri, run.artifacts)
    if folder:
        if not folder.is_dir():
            raise _moved(run, folder)
        return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    client, files, folders = connect(run.uri), list[str](), [""]
    with translated(run.uri):
        while folders:
            for each in client.list_artifacts(run.run_id, folders.pop() or None):
                (folders if each.is_dir else files).append(each.path)
    return sorted(files)


def _moved(run: FoundRun, folder: Path) -> StoreError:
    return StoreError(
        f"the artifacts of run {run.run_id} are not at {folder}; were they moved? Put the folder `artifacts` beside mlflow.db again"
    )


def _by_ticket(uri: str, ticket: str) -> FoundRun:
    kept = Outbox(spool() / ticket)
    waits = kept.holds_any() and not kept.noted("run")
    sent = [] if waits else [run for run in _runs(uri) if run.tags.get("i2m2.ticket") == ticket and not run.deleted]
    if not sent:
        raise Missing(f"run {ticket} has not reached the store yet; it is sent when the next run starts")
    return sent[0]


def _runs(uri: str, start: str = "") -> list[FoundRun]:
    database = sqlite_file(uri)
    with translated(uri):
        if database and not database.exists():
            raise Missing(f"there is no store at {shown(uri)}; `i2m2 train` makes one, or name yours with --uri")
        schema = schema_of(database) if database else ""
        if schema is None:  # MLflow's client would make its tables there
            raise schema_trouble(shown(uri))
        if database and schema in TESTED_SCHEMAS:
            return _from_sqlite(uri, database, start)
        if uri.startswith("http"):
            return _from_http(uri, start)
        return _from_client(uri, start)


def _from_http(uri: str, start: str) -> list[FoundRun]:
    from i2m2_med.engine.tracking import rest as tracking_http

    names = tracking_http.experiments(uri)
    asked = tracking_http.one_run(uri, start) if len(start) == 32 else tracking_http.runs(uri, list(names))
    matches = [run for run in asked if run["info"]["run_id"].startswith(start)]
    return [
        FoundRun(
            uri, info["run_id"], info.get("run_name", ""), names.get(info["experiment_id"], ""), info["status"],
            info["lifecycle_stage"] == "deleted", int(info.get("start_time", 0)), info.get("artifact_uri", ""),
            data["tags"], data["params"], {key: float(value) for key, value in data["metrics"].items()},
        )
        for info, data in ((run["info"], run["data"]) for run in matches)
    ]  # fmt: skip


def _from_sqlite(uri: str, database: Path, start: str) -> list[FoundRun]:
    with sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True) as store:
        runs = store.execute(
            "SELECT r.run_uuid, r.name, e.name, r.status, r.lifecycle_stage, r.start_time, r.artifact_uri FROM runs r"
            " JOIN experiments e USING (experiment_id) WHERE substr(r.run_uuid, 1, ?) = ?",
            (len(start), start),
        ).fetchall()
        tags = _by_run(store, "SELECT run_uuid, key, value FROM tags", start)
        params = _by_run(store, "SELECT run_uuid, key, value FROM params", start)
        metrics = _by_run(
            store, "SELECT run_uuid, key, CASE WHEN is_nan THEN 'nan' ELSE value END FROM latest_metrics", start
        )
    return [
        FoundRun(
            uri, run_id, name or "", experiment, status, stage == "deleted", began or 0, artifacts,
            tags.get(run_id, {}), params.get(run_id, {}), {k: float(v) for k, v in metrics.get(run_id, {}).items()},
        )
        for run_id, name, experiment, status, stage, began, artifacts in runs
    ]  # fmt: skip


def _by_run(store: sqlite3.Connection, query: str, start: str) -> dict[str, dict[str, Any]]:
    by_run: dict[str, dict[str, Any]] = {}
    rows: Iterable[tuple[str, str, Any]] = store.execute(
        query + " WHERE substr(run_uuid, 1, ?) = ?", (len(start), start)
    )
    for run_id, key, value in rows:
        by_run.setdefault(run_id, {})[key] = value
    return by_run


def _from_client(uri: str, start: str) -> list[FoundRun]:
    from mlflow.entities import ViewType
    from mlflow.exceptions import MlflowException

    client = connect(uri)
    names = {each.experiment_id: each.name for each in client.search_experiments(view_type=ViewType.ALL)}
    if len(start) == 32:
        try:
            return [_from_entity(uri, client.get_run(start), names)]
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return []
            raise
    runs: list[FoundRun] = []
    token = None
    while True:
        page = client.search_runs(list(names), "", ViewType.ALL, 1000, page_token=token)
        runs += [_from_entity(uri, run, names) for run in page if run.info.run_id.startswith(start)]
        token = page.token
        if not token:
            return runs


def _from_entity(uri: str, run: "Run", names: dict[str, str]) -> FoundRun:
    info, data = run.info, run.data
    return FoundRun(
        uri, info.run_id, info.run_name or "", names.get(info.experiment_id, ""), info.status,
        info.lifecycle_stage == "deleted", info.start_time or 0, info.artifact_uri or "", data.tags, data.params, data.metrics,
    )  # fmt: skip
