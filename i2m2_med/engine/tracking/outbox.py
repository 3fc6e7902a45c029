"""What could not be sent to the store, kept on disk in order, so that a server's absence never costs a training."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from i2m2_med.files import replace_file

Event = dict[str, Any]
"""JSON-able: `kind`, and what that kind needs. A `path` is a file or folder that is sent."""

FIRST_WAIT, LONGEST_WAIT = 15.0, 300.0
"""Seconds until the next try after a failure; doubled with every failure."""


class Outbox:
    """One run's unsent events: `<folder>/events.jsonl`, and copies of the files they speak of.

    `run` holds the run's id in the store as soon as there is one, `store` its URI.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wait = FIRST_WAIT
        self.next_try = 0.0

    def holds_any(self) -> bool:
        """Whether something waits to be sent."""
        return (self.folder / "events.jsonl").exists()

    def is_due(self) -> bool:
        """Whether enough time has passed since the last failure to try again."""
        return time.monotonic() >= self.next_try

    def failed(self) -> None:
        """Wait longer before the next try."""
        self.next_try = time.monotonic() + self.wait
        self.wait = min(2 * self.wait, LONGEST_WAIT)

    def keep(self, event: Event) -> None:
        """Write `event` down, and copy the file it names, which may change or go before it is sent."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if "path" in event:
            event = event | {"path": str(self._copy(Path(event["path"])))}
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(json.dumps(event) + "\n")

    def waiting(self) -> Iterator[Event]:
        """The events in the order in which they happened. A line that was cut off by a crash is the last, and is left out."""
        if not self.holds_any():
            return
        for line in (self.folder / "events.jsonl").read_text().splitlines(keepends=True):
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
        """Remember a word about this outbox, such as the run's id."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(value)

    def noted(self, name: str) -> str | None:
        """What was remembered under `name`."""
        path = self.folder / name
        return path.read_text() if path.exists() else None

    def _forget(self, events: list[Event], sent: int) -> None:
        if not events or not sent:
            return
        path = self.folder / "events.jsonl"
        if sent < len(events):
            with replace_file(path) as beside:
                beside.write_text("".join(json.dumps(event) + "\n" for event in events[sent:]))
        else:
            path.unlink()
            shutil.rmtree(self.folder / "files", ignore_errors=True)

    def _copy(self, source: Path) -> Path:
        place = self.folder / "files" / str(time.time_ns())
        place.mkdir(parents=True)
        return Path((shutil.copytree if source.is_dir() else shutil.copy2)(source, place / source.name))
