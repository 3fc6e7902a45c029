"""Score studies as they arrive, once they have settled, until stopped."""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from i2m2_med.console import say
from i2m2_med.errors import SourceError, UserError
from i2m2_med.object_store import ObjectPath, located
from i2m2_med.parts import Part
from i2m2_med.scoring.examine import Outcome
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.output_lock import lock_output
from i2m2_med.scoring.run import Summary, facts_of, finish, source_of
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.study_names import StudyFolder
from i2m2_med.scoring.workers.engine import Engine
from i2m2_med.sources.source import Source

Snapshot = frozenset[tuple[str, int, int]]
"""Names, sizes and times of a study's files: what changes while a study is being copied."""


@dataclass
class Arrivals:
    """Snapshots of the studies that have arrived, and since when each has stayed the same."""

    settle: float
    """Seconds for which a study must have stayed the same."""
    snapshots: dict[StudyFolder, tuple[Snapshot, float]] = field(
        default_factory=dict[StudyFolder, tuple[Snapshot, float]]
    )
    scored: dict[StudyFolder, Snapshot] = field(default_factory=dict[StudyFolder, Snapshot])
    named: dict[str, StudyFolder] = field(default_factory=dict[str, StudyFolder])
    """The studies of the last look, by their names."""

    def ready(self, studies: Sequence[StudyFolder], now: float) -> list[StudyFolder]:
        """Return the studies that stayed the same for `settle` seconds and were not scored as they are now."""
        self.named = {study.name: study for study in studies}
        for study in studies:
            snapshot = take_snapshot(study.folder)
            before, _ = self.snapshots.get(study, (None, now))
            if before != snapshot:
                self.snapshots[study] = (snapshot, now)
        return [study for study in studies if self.settled(study, now)]

    def settled(self, study: StudyFolder, now: float) -> bool:
        """Return whether a study has stayed the same for long enough, and is not the one that was scored."""
        snapshot, since = self.snapshots[study]
        return now - since >= self.settle and self.scored.get(study) != snapshot

    def note(self, name: str) -> None:
        """Note that the study `name` was scored as it was last seen."""
        study = self.named[name]
        self.scored[study] = self.snapshots[study][0]

    def names(self) -> list[str]:
        """Return the names of the studies scored so far."""
        return sorted(study.name for study in self.scored)


def watch_studies(
    job: Job,
    where: str,
    engine: Engine,
    part: Part,
    poll: float,
    settle: float,
    stopped: Callable[[], bool] = lambda: False,
) -> Summary:
    """Look every `poll` seconds; one line per study; tables after each round. Ends by KeyboardInterrupt (as SIGINT and, under
    `stoppable`, SIGTERM raise it) or `stopped`; the studies that are done by then are in the tables."""
    if isinstance(located(where), ObjectPath):
        raise UserError(
            "--watch looks into a folder of a disk; call score again for what has come into an object store"
        )
    arrivals, counted, began = Arrivals(settle), Counter[str](), time.monotonic()
    facts, source = facts_of(job), source_of(job.model)
    with lock_output(job.out, part) as store:
        say(f"watching {where}; Ctrl-C ends it")
        with suppress(KeyboardInterrupt):
            while not stopped():
                ready = arrivals.ready(part.of(arrived(where, job.out, source)), time.monotonic())
                for outcome in engine(job, store, ready) if ready else ():
                    arrivals.note(outcome.name)
                    counted[outcome.status] += 1
                    say(line(outcome))
                if ready:
                    finish(store, arrivals.names(), facts, part)
                wait(poll, stopped)
        summary = finish(store, arrivals.names(), facts, part)
    summary.same, summary.seconds = counted["same"], time.monotonic() - began
    return summary


def arrived(where: str, out: Path | ObjectPath, source: Source) -> list[StudyFolder]:
    """Return the studies that are there by now."""
    try:
        return find_studies(where, out, source)
    except SourceError:
        return []


def take_snapshot(folder: Path) -> Snapshot:
    """Return names, sizes and times of a study's files; what vanishes meanwhile is left out."""
    files: list[tuple[str, int, int]] = []
    below = [Path(root) / name for root, _, names in os.walk(folder) for name in names]
    alone = folder.parent if folder.parent.is_file() else folder  # a row of a table: it is as new as its table
    for path in below if folder.is_dir() else [alone]:
        try:
            status = path.lstat()
        except OSError:
            continue
        files.append((str(path), status.st_size, status.st_mtime_ns))
    return frozenset(files)


def line(outcome: Outcome) -> str:
    """Return one study's outcome as one line."""
    words = {"ok": "scored", "same": "scored before", "refused": f"refused: {outcome.why}"}[outcome.status]
    return f"{outcome.name}: {words} ({outcome.seconds:.1f} s)"


def wait(seconds: float, ended: Callable[[], bool]) -> None:
    """Sleep, but not past the end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not ended():
        time.sleep(min(0.2, seconds))
