"""How each kind of event of a run is written into the store: one small function per kind."""

import json
import math
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.engine.tracking.outbox import Event
from i2m2_med.engine.tracking.store import local_artifacts, sqlite_file

if TYPE_CHECKING:
    from mlflow import MlflowClient


def send(client: "MlflowClient", uri: str, run_id: str, event: Event) -> None:
    """Write one event into run `run_id` of the store `uri`; the kinds are the functions below. Sent twice, it is there once."""
    if event["kind"] in FILES:
        FILES[event["kind"]](client, uri, run_id, event)
    else:
        KINDS[event["kind"]](client, run_id, event)


def metric_key(name: str) -> str:
    """`name` with what MLflow refuses in a metric's key replaced: `auroc@0.5 (macro)` → `auroc_0.5 _macro_`."""
    return re.sub(r"[^\w./ -]", "_", name)[:250]


def metrics_event(metrics: dict[str, float], step: int, milliseconds: int) -> Event:
    """The event of some metrics. An infinite value becomes NaN: MLflow would store 1.797e308, which reads as a number."""
    values = {metric_key(name): float(value) for name, value in metrics.items()}
    finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
    return {"kind": "metrics", "values": finite, "step": step, "time": milliseconds}


def _metrics(client: "MlflowClient", run_id: str, event: Event) -> None:
    from mlflow.entities import Metric

    values: dict[str, float | None] = event["values"]
    entities = [
        Metric(name, math.nan if value is None else value, event["time"], event["step"])
        for name, value in values.items()
    ]
    for first in range(0, len(entities), 1000):
        client.log_batch(run_id, metrics=entities[first : first + 1000])


def _tags(client: "MlflowClient", run_id: str, event: Event) -> None:
    from mlflow.entities import RunTag

    entities = [RunTag(name, str(value)) for name, value in event["values"].items()]
    for first in range(0, len(entities), 100):
        client.log_batch(run_id, tags=entities[first : first + 100])


def _description(client: "MlflowClient", run_id: str, event: Event) -> None:
    info = client.get_run(run_id).info
    text = event["text"].replace("{run}", run_id).replace("{experiment}", info.experiment_id)
    client.set_tag(run_id, "mlflow.note.content", text)


def _params(client: "MlflowClient", run_id: str, event: Event) -> None:
    from mlflow.entities import Param

    entities = [Param(name[:250], str(value)[:6000]) for name, value in event["values"].items()]
    for first in range(0, len(entities), 100):
        client.log_batch(run_id, params=entities[first : first + 100])


def _data(client: "MlflowClient", run_id: str, event: Event) -> None:
    """The splits a run read, each as `mlflow.log_input` writes it: name, fingerprint, counts; no path and no file name."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    splits = event["splits"] if "splits" in event else {"train": event["profile"]}  # one that an older release kept
    inputs = [
        DatasetInput(
            Dataset(
                f"{event['name']} {split}",
                event["fingerprint"][:36],
                source_type="i2m2-manifest",
                source=json.dumps({"fingerprint": event["fingerprint"]}),
                profile=json.dumps(counts),
            ),
            [InputTag("mlflow.data.context", split)],
        )
        for split, counts in splits.items()
    ]
    if inputs:
        client.log_inputs(run_id, inputs)


def _artifact(client: "MlflowClient", uri: str, run_id: str, event: Event) -> None:
    path = Path(event["path"])
    folder = "/".join(filter(None, (event["folder"], path.name if path.is_dir() else "")))
    put(client, uri, run_id, path, folder)


def put(client: "MlflowClient", uri: str, run_id: str, path: Path, folder: str) -> None:
    """Put a file, or a folder's content, into `folder` of the run's artifacts; of a moved store, beside its database."""
    place = local_artifacts(uri, client.get_run(run_id).info.artifact_uri or "") if sqlite_file(uri) else None
    if place:
        copy_into(path, place / folder)
    elif path.is_dir():
        client.log_artifacts(run_id, str(path), folder or None)
    else:
        client.log_artifact(run_id, str(path), folder or None)


def copy_into(path: Path, folder: Path) -> None:
    """Copy a file, or the content of a folder, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, folder, dirs_exist_ok=True)
    else:
        shutil.copy2(path, folder / path.name)


def _text(client: "MlflowClient", uri: str, run_id: str, event: Event) -> None:
    put_text(client, uri, run_id, event["name"], event["text"])


def put_text(client: "MlflowClient", uri: str, run_id: str, name: str, text: str) -> None:
    """Put a text into the run's artifacts as `name`."""
    folder, _, file = name.rpartition("/")
    with tempfile.TemporaryDirectory() as beside:
        path = Path(beside) / file
        path.write_text(text, encoding="utf-8", newline="")
        put(client, uri, run_id, path, folder)


def _model(client: "MlflowClient", uri: str, run_id: str, event: Event) -> None:
    from i2m2_med.engine.tracking.model import send_model

    send_model(client, uri, run_id, Path(event["path"]))


def _end(client: "MlflowClient", run_id: str, event: Event) -> None:
    client.set_terminated(run_id, event["status"], event["time"])


KINDS: dict[str, Any] = {
    "metrics": _metrics,
    "tags": _tags,
    "params": _params,
    "description": _description,
    "data": _data,
    "end": _end,
}
FILES: dict[str, Any] = {"artifact": _artifact, "text": _text, "model": _model}
"""The kinds that write files, which lie beside the database where that is a file of this machine."""
