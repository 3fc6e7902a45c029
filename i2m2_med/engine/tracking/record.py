"""The signed list of all that a run recorded: a digest of every artifact, table column, parameter, metric with its curve, and tag.

While the run goes on, what it writes is noted in its folder of the workspace (never read back from the store). Where the run
ends, the list is signed with the workspace's key (HMAC-SHA256), put into the run as `digests.json`, and a copy stays in the
workspace. `i2m2 verify` holds the store against it (engine/reopening/signed.py).

What it proves: whoever can write to the store, but has neither the key nor the workspace, can't change, add to or empty what was
recorded unseen. What it does not: that the training was honest, or anything against someone who has the key. In another workspace
the signature can't be checked (the key never leaves its own); there the list tells of damage and careless edits only.
Left out, because they change later: signs of life, descriptions, and what verification and registration write.
"""

import hashlib
import hmac
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from i2m2_med.engine.tracking.outbox import Event, Outbox, outbox_of
from i2m2_med.files import digest, sha256_of, write_json
from i2m2_med.privacy import project_key
from i2m2_med.workspace import workspace

NAME = "digests.json"
"""The artifact that holds the list."""
CHANGING = (
    "i2m2.claim",
    "i2m2.lock",
    "i2m2.heartbeat",
    "i2m2.host",
    "i2m2.resumed",
    "i2m2.error",
    "mlflow.note.content",
)
"""Tags of a run that are not signed."""
Digests = dict[str, str]


@dataclass
class Record:
    """Digests of what a run has written so far, by name."""

    artifacts: Digests = field(default_factory=Digests)
    columns: dict[str, Digests] = field(default_factory=dict[str, Digests])
    """By Parquet artifact: its columns."""
    params: Digests = field(default_factory=Digests)
    tags: Digests = field(default_factory=Digests)
    metrics: dict[str, list[tuple[int, str]]] = field(default_factory=dict[str, list[tuple[int, str]]])
    """(step, value) of each metric."""
    events: int = 0
    """How many events the run has had: the number of the next one."""

    @property
    def is_whole(self) -> bool:
        """Whether the run was recorded from its creation on; one that an older release began was not."""
        return "i2m2.ticket" in self.tags

    def add(self, noted: Mapping[str, Any]) -> None:
        """Take in what `note_of` made of an event."""
        for name in ("artifacts", "columns", "params", "tags"):
            getattr(self, name).update(noted.get(name, {}))
        for name, point in noted.get("metrics", {}).items():
            self.metrics.setdefault(name, []).append((point[0], point[1]))
        self.events += 1

    def has(self, metric: str, step: int) -> bool:
        """Whether the run has a value of this metric at this step."""
        return any(step == known for known, _ in self.metrics.get(metric, ()))

    def content(self) -> dict[str, Any]:
        """Return the content that is signed, with a digest of each metric's curve."""
        metrics = {name: curve_digest(points) for name, points in self.metrics.items()}
        parts = {"artifacts": self.artifacts, "columns": self.columns, "params": self.params, "tags": self.tags}
        return {"version": 1, **parts, "metrics": metrics}


def read_record(outbox: Outbox) -> Record:
    """The record of a run as its folder has it; a line that was cut off by a crash is left out."""
    record, path = Record(), outbox.folder / "record.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else ():
        if line.endswith("\n"):
            record.add(json.loads(line))
    return record


def write_down(outbox: Outbox, record: Record, event: Event) -> None:
    """Add an event to the record, in memory and in the run's folder."""
    noted = note_of(event)
    record.add(noted)
    outbox.folder.mkdir(parents=True, exist_ok=True)
    with (outbox.folder / "record.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(noted) + "\n")


def note_of(event: Event) -> dict[str, Any]:
    """Digests of what an event writes, by kind and name."""
    kind = event["kind"]
    if kind in ("params", "tags", "create"):
        values: dict[str, str] = event["tags" if kind == "create" else "values"]
        kept = {name[:250]: text_digest(str(value)[:6000]) for name, value in values.items() if name not in CHANGING}
        return {"params" if kind == "params" else "tags": kept}
    if kind == "metrics":
        return {"metrics": {name: (event["step"], repr_of(value)) for name, value in event["values"].items()}}
    if kind == "text":
        return {"artifacts": {event["name"]: text_digest(event["text"])}}
    return of_files(Path(event["path"]), event["folder"]) if kind == "artifact" else {}


def of_files(path: Path, folder: str) -> dict[str, Any]:
    """Digests of a file, or of all files of a folder, that is put into `folder` of the run's artifacts."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    names = {"/".join(filter(None, (folder, file.relative_to(path.parent).as_posix()))): file for file in files}
    tables = {name: column_digests(file) for name, file in names.items() if file.suffix == ".parquet"}
    return {"artifacts": {name: sha256_of(file) for name, file in names.items()}, "columns": tables}


def column_digests(table: Path) -> Digests:
    """A digest of the values of every column of a Parquet file, however it is packed."""
    import pandas as pd

    content = pd.read_parquet(table)
    return {str(name): hash_values(column) for name, column in content.items()}


def hash_values(column: Any) -> str:
    """A digest of the values of one column, in their order."""
    import pandas as pd

    numbers = pd.util.hash_pandas_object(column, index=False, categorize=False).to_numpy()
    return hashlib.sha256(f"{len(numbers)} ".encode() + numbers.tobytes()).hexdigest()


def text_digest(text: str) -> str:
    """The SHA-256 of a text in UTF-8, which is that of the file that holds it."""
    return hashlib.sha256(text.encode()).hexdigest()


def curve_digest(points: list[tuple[int, str]]) -> str:
    """A digest of a metric's (step, value) pairs; one that was sent twice counts once."""
    return digest(sorted(set(points)))


def repr_of(value: float | None) -> str:
    """A metric's value as text: exact, and the same for every NaN."""
    return "nan" if value is None or math.isnan(value) else repr(float(value))


def sign(outbox: Outbox, record: Record) -> str:
    """The signed list as JSON; a copy is kept in the workspace."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"ticket": outbox.ticket, "signed": when, "key": key_name(), **record.content()}
    whole = content | {"signature": signature(content)}
    place = kept_copy(outbox.ticket)
    write_json(place, whole)
    place.chmod(0o600)
    return json.dumps(whole, indent=1)


def signature(content: Mapping[str, Any]) -> str:
    """The keyed hash of plain values, whatever the order of their names."""
    plain = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hmac.new(project_key(workspace()), f"record|{plain}".encode(), hashlib.sha256).hexdigest()


def key_name() -> str:
    """Return a name for this workspace's key (16 hex digits), which tells it from another's and nothing about it."""
    return hmac.new(project_key(workspace()), b"name of the key", hashlib.sha256).hexdigest()[:16]


def kept_copy(ticket: str) -> Path:
    """Where the workspace keeps its copy of a run's list."""
    return workspace() / "signed" / f"{re.sub('[^0-9a-zA-Z-]', '_', ticket)}.json"


def forget_run(run: str) -> None:
    """Delete what the workspace keeps of a run whose store is thrown away."""
    outbox = outbox_of(run)
    kept_copy(outbox.ticket).unlink(missing_ok=True)
    outbox.discard()
