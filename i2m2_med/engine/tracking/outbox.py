"""The queue of what could not be sent to the store, kept on disk in order, so that a server's absence never costs a training.

A run has a folder in the workspace, named by the ticket that it is opened with (also where the store gives it an id at once):
`events.jsonl` holds what waits to be sent, `files/` copies of what it speaks of, `record.jsonl` what the run has written so far
(record.py), and small notes the run's id, its store and its writer.
"""

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from i2m2_med.files import replace_file
from i2m2_med.workspace import workspace

Event = dict[str, Any]
"""JSON-able: `kind`, `seq` (its number in the run, from 0), and what that kind needs. A `path` is a file or folder that is sent."""

FIRST_WAIT, LONGEST_WAIT = 15.0, 300.0
"""Seconds until the next try after a failure; doubled with every failure."""
TIMES = 9
"""After a try that took t seconds nothing is sent for this many times t: a slow store costs a training a tenth of its time."""
SLOW = 1.0
"""Seconds; a store that answers sooner is written to at once."""
TICKET = "spooled-"
"""The beginning of every ticket: a run that has no id yet goes by its ticket."""


def spool() -> Path:
    """Where runs have their folders."""
    return workspace() / "spool"


def new_ticket() -> str:
    """The name of a run before the store knows it; also its tag `i2m2.ticket`, by which the run is found in the store."""
    return f"{TICKET}{uuid.uuid4().hex}"


def outbox_of(run: str) -> "Outbox":
    """The outbox of a run, named by its ticket or its id in the store."""
    if not (spool() / run).is_dir():
        for note in spool().glob("*/run"):
            if note.read_text(encoding="utf-8") == run:
                return Outbox(note.parent)
    return Outbox(spool() / run)


class Outbox:
    """One run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wait = FIRST_WAIT
        self.next_try = 0.0

    @property
    def ticket(self) -> str:
        """The name of the run before the store knows it."""
        return self.folder.name

    def holds_any(self) -> bool:
        """Whether something waits to be sent."""
        return (self.folder / "events.jsonl").exists()

    def is_due(self) -> bool:
        """Whether enough time has passed since the last failure, or slow answer, to send again."""
        return time.monotonic() >= self.next_try

    def failed(self, seconds: float = 0.0) -> None:
        """Wait longer before the next try; `seconds` is what the failed one took."""
        self.next_try = time.monotonic() + max(self.wait, TIMES * seconds)
        self.wait = min(2 * self.wait, LONGEST_WAIT)

    def answered(self, seconds: float) -> None:
        """Note that a try succeeded; after a slow one there is a pause."""
        self.wait = FIRST_WAIT
        self.next_try = time.monotonic() + TIMES * seconds if seconds > SLOW else 0.0

    def keep(self, event: Event) -> None:
        """Write `event` down, and copy the file it names, which may change or go before it is sent."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if "path" in event:
            event = event | {"path": str(self._copy(Path(event["path"])))}
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def waiting(self) -> Iterator[Event]:
        """The events in the order in which they happened. A line that was cut off by a crash is the last, and is left out."""
        if not self.holds_any():
            return
        for line in (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)

    def send_all(self, send: Callable[[Event], None]) -> None:
        """Pass every event to `send`; after an error the ones that were sent are forgotten and the others stay."""
        events = list(self.waiting())
        sent = 0
        try:
            for event in events:
                send(event)
                sent += 1
        finally:
            self._forget(events, sent)

    def note(self, name: str, value: str) -> None:
        """Remember a word about this run, such as its id; whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with replace_file(self.folder / name) as beside:
            beside.write_text(value, encoding="utf-8")

    def noted(self, name: str) -> str | None:
        """Return the note that was kept under `name`; None where there is none."""
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.exists() else None

    def discard(self) -> None:
        """Delete the run's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _forget(self, events: list[Event], sent: int) -> None:
        if not sent and events:
            return
        path = self.folder / "events.jsonl"
        if sent < len(events):
            with replace_file(path) as beside:
                beside.write_text("".join(json.dumps(event) + "\n" for event in events[sent:]), encoding="utf-8")
        else:
            path.unlink(missing_ok=True)
            shutil.rmtree(self.folder / "files", ignore_errors=True)

    def _copy(self, source: Path) -> Path:
        place = self.folder / "files" / str(time.time_ns())
        place.mkdir(parents=True)
        return Path((shutil.copytree if source.is_dir() else shutil.copy2)(source, place / source.name))
