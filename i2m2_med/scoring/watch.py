"""Score studies as they arrive, once they have settled, until stopped."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from i2m2_med.console import say
from i2m2_med.errors import SourceError
from i2m2_med.scoring.examine import Report
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.output_lock import Part, hold
from i2m2_med.scoring.run import Engine, Summary, experts_of, finish
from i2m2_med.scoring.studies import Place, find_studies

Look = frozenset[tuple[str, int, int]]
"""Names, sizes and times of a study's files: what changes while a study is being copied."""


@dataclass
class Seen:
    """How studies looked, and since when."""

    settle: float
    looks: dict[Place, tuple[Look, float]] = field(default_factory=dict[Place, tuple[Look, float]])
    done: dict[Place, Look] = field(default_factory=dict[Place, Look])

    def ready(self, places: Sequence[Place], now: float) -> list[Place]:
        """Studies that stayed the same for `settle` seconds and were not scored as they are now."""
        for place in places:
            look = look_at(place.folder)
            known, _ = self.looks.get(place, (None, now))
            if known != look:
                self.looks[place] = (look, now)
        return [
            place
            for place in places
            if now - self.looks[place][1] >= self.settle and self.done.get(place) != self.looks[place][0]
        ]


def watch_studies(
    job: Job,
    where: str,
    engine: Engine,
    part: Part,
    poll: float,
    settle: float,
    stopped: Callable[[], bool] = lambda: False,
) -> Summary:
    """Look every `poll` seconds; one line per study; tables after each round. Ends by SIGINT, SIGTERM, or `stopped`."""
    seen, counted, began = Seen(settle), Counter[str](), time.monotonic()
    experts = experts_of(job)
    with hold(job.out, part) as shelf, until_signal() as asked:
        say(f"watching {where}; Ctrl-C ends it")
        while not (asked() or stopped()):
            ready = seen.ready(part.of(arrived(where, job.out)), time.monotonic())
            for report in engine(job, shelf, ready) if ready else ():
                counted[report.status] += 1
                say(line(report))
            seen.done |= {place: seen.looks[place][0] for place in ready}
            if ready:
                finish(shelf, names_of(seen), experts, part)
            wait(poll, lambda: asked() or stopped())
        summary = finish(shelf, names_of(seen), experts, part)
    summary.same, summary.seconds = counted["same"], time.monotonic() - began
    return summary


def arrived(where: str, out: Path) -> list[Place]:
    """The studies that are there by now."""
    try:
        return find_studies(where, out)
    except SourceError:
        return []


def names_of(seen: Seen) -> list[str]:
    """What was scored so far."""
    return sorted(place.name for place in seen.done)


def look_at(folder: Path) -> Look:
    """Names, sizes and times below a folder; what vanishes meanwhile is left out."""
    found: list[tuple[str, int, int]] = []
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                status = (Path(root) / name).lstat()
            except OSError:
                continue
            found.append((str(Path(root, name)), status.st_size, status.st_mtime_ns))
    return frozenset(found)


def line(report: Report) -> str:
    """One study in one line."""
    said = {"ok": "scored", "same": "scored before", "refused": f"refused: {report.why}"}[report.status]
    return f"{report.name}: {said} ({report.seconds:.1f} s)"


def wait(seconds: float, ended: Callable[[], bool]) -> None:
    """Sleep, but not past the end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not ended():
        time.sleep(min(0.2, seconds))


@contextmanager
def until_signal() -> Generator[Callable[[], bool]]:
    """Yield whether SIGINT or SIGTERM asked to end; the study at hand is finished first."""
    asked: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, lambda got, _: asked.append(got))
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
