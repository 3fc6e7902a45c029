"""A scoring run: the studies, the hold on the output folder, an engine, and the tables at the end."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i2m2_med.console import Progress
from i2m2_med.errors import UserError
from i2m2_med.scoring.examine import Report
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.output_lock import PRIVATE, Part, hold
from i2m2_med.scoring.results import Shelf, reasons
from i2m2_med.scoring.studies import Place

Engine = Callable[[Job, Shelf, Sequence[Place]], Iterator[Report]]
"""Scores studies and puts each result on the shelf; reports come in the order in which studies get ready."""


@dataclass
class Summary:
    """What a run did."""

    studies: int = 0
    ok: int = 0
    refused: int = 0
    same: int = 0
    """Of these, scored before: same content, same model."""
    seconds: float = 0.0
    reasons: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])

    @property
    def exit(self) -> int:
        """The exit code: 2 where studies were refused."""
        return 2 if self.refused else 0

    def as_json(self, out: Path) -> dict[str, Any]:
        """For `--json`."""
        return {
            "out": str(out),
            "studies": self.studies,
            "ok": self.ok,
            "refused": self.refused,
            "same": self.same,
            "seconds": round(self.seconds, 3),
            "reasons": [{"why": why, "studies": count} for why, count in self.reasons],
            "exit": self.exit,
        }


def score(job: Job, places: Sequence[Place], engine: Engine, part: Part, progress: Progress) -> Summary:
    """Score the part's studies into `job.out`; raises UserError where another scorer holds the folder."""
    began = time.monotonic()
    mine = part.of(places)
    with hold(job.out, part) as shelf:
        reports = progress.track(engine(job, shelf, mine), "scoring", len(mine))
        counted = Counter(report.status for report in reports)
        names = [place.name for place in mine]
        summary = finish(shelf, names, experts_of(job), part)
    summary.same, summary.seconds = counted["same"], time.monotonic() - began
    return summary


def finish(shelf: Shelf, names: Sequence[str], experts: Sequence[str], part: Part) -> Summary:
    """The tables of a whole run, or the note by which `merge` knows that a part is done."""
    if part.whole:
        status = shelf.tables(names, experts)
    else:
        status = Counter(shelf.read(name)["status"] for name in names)
        note = {"studies": list(names), "experts": list(experts)}
        shelf.write(shelf.out / PRIVATE / f"{part.name}.json", json.dumps(note))
    found = reasons(shelf, names) if status["refused"] else []
    return Summary(len(names), status["ok"], status["refused"], reasons=found)


def experts_of(job: Job) -> tuple[str, ...]:
    """The experts of the job's model, in their order."""
    from i2m2_med.engine.prediction.model_files import read_about, read_portable

    run = read_portable(job.model / "config.yaml")
    return run.paradigms[read_about(job.model, run)["paradigm"]].experts


def merge(out: Path) -> Summary:
    """Put the parts of a shared run together. Raises UserError where a part has not finished."""
    if not (out / PRIVATE).is_dir():
        raise UserError(f"{out} holds no scores; name the OUT of `i2m2 score … --num-parts N --part-id i`")
    with hold(out, Part()) as shelf:
        count, notes = finished_parts(out)
        names = sorted(name for note in notes for name in note["studies"])
        models = {(result["model"], result["config_sha"]) for result in map(shelf.read, names)}
        if len(models) > 1:
            raise UserError(f"{out}: the {count} parts were scored with {len(models)} models; score them with one")
        return finish(shelf, names, notes[0]["experts"] if notes else (), Part())


def finished_parts(out: Path) -> tuple[int, list[dict[str, Any]]]:
    """The notes of the parts, of the latest number of parts. Raises UserError naming parts that lack."""
    started = sorted((out / PRIVATE).glob("part-*-of-*.lock"), key=lambda path: path.stat().st_mtime_ns)
    if not started:
        raise UserError(f"{out} was not scored in parts; there is nothing to merge")
    count = int(started[-1].stem.rpartition("-")[2])
    paths = [out / PRIVATE / f"part-{index}-of-{count}.json" for index in range(count)]
    lacking = [str(index) for index, path in enumerate(paths) if not path.exists()]
    if lacking:
        raise UserError(f"{out}: of {count} parts, {', '.join(lacking)} did not finish yet; score them, then merge")
    return count, [json.loads(path.read_text()) for path in paths]


def local_engine(readers: int, processes: int, timeout: float) -> Engine:
    """Readers and model processes on this machine; `readers` 0 reads in the model's own process."""

    def engine(job: Job, shelf: Shelf, places: Sequence[Place]) -> Iterator[Report]:
        from i2m2_med.scoring.answer import Answerer
        from i2m2_med.scoring.reading import Reader
        from i2m2_med.scoring.workers.processes import spread
        from i2m2_med.scoring.workers.readers import Pool, score_here

        if processes > 1 and len(places) > 1:
            yield from spread(job, shelf, places, min(processes, len(places)), readers, timeout)
            return
        if not readers:
            yield from score_here(Answerer(job), Reader(job.model), shelf, places)
            return
        pool = Pool(job, shelf, min(readers, max(len(places), 1)), timeout, answerer=Answerer(job))
        try:
            yield from pool.run(places)
        finally:
            pool.close()

    return engine


def default_readers(processes: int) -> int:
    """Reader processes per model process, so that all cores have something to do."""
    return max(1, (os.cpu_count() or 1) // processes - 1)
