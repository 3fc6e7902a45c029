"""A scoring run: the studies, the lock on the output folder, an engine, and the tables at the end."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from i2m2_med.console import Progress
from i2m2_med.errors import UserError
from i2m2_med.object_store import ObjectPath
from i2m2_med.parts import Part
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.official import ModelFacts, write_results
from i2m2_med.scoring.output_lock import PRIVATE, lock_output
from i2m2_med.scoring.results import ResultStore, Tally
from i2m2_med.scoring.study_names import StudyFolder
from i2m2_med.scoring.workers.engine import Engine
from i2m2_med.sources.source import Source


@dataclass
class Summary:
    """Counts of a finished run."""

    studies: int = 0
    ok: int = 0
    refused: int = 0
    same: int = 0
    """Of these, scored before: same content, same model."""
    seconds: float = 0.0
    warned: int = 0
    """Of those scored, with a warning."""
    reasons: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    warnings: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Each warning, and how many studies have it; the most frequent first."""
    results: tuple[str, int] | None = None
    """The file for the data set's own evaluation, and the studies in it, where it has one and knows these studies."""
    spared: dict[str, int] = field(default_factory=dict[str, int])
    """Of scoring within a budget: items, those that `stopped` early, `flops` done, `of` all experts; empty otherwise."""

    @property
    def exit(self) -> int:
        """Return the exit code: 2 where studies were refused."""
        return 2 if self.refused else 0

    def as_json(self, out: Path | ObjectPath) -> dict[str, Any]:
        """Return the JSON-able object of `--json`."""
        return {
            "out": str(out),
            "studies": self.studies,
            "ok": self.ok,
            "refused": self.refused,
            "same": self.same,
            "warned": self.warned,
            "seconds": round(self.seconds, 3),
            "reasons": [{"why": why, "studies": count} for why, count in self.reasons],
            "warnings": [{"warning": text, "studies": count} for text, count in self.warnings],
            "results": None if self.results is None else {"file": self.results[0], "studies": self.results[1]},
            **({"spared": self.spared} if self.spared else {}),
            "exit": self.exit,
        }


def score(job: Job, studies: Sequence[StudyFolder], engine: Engine, part: Part, progress: Progress) -> Summary:
    """Score the part's studies into `job.out`; raises UserError where another scorer holds the folder."""
    began = time.monotonic()
    share = part.of(studies)
    with lock_output(job.out, part) as store:
        outcomes = progress.track(engine(job, store, share), "scoring", len(share))
        counted = Counter(outcome.status for outcome in outcomes)
        names = [study.name for study in share]
        summary = finish(store, names, facts_of(job), part)
    summary.same, summary.seconds = counted["same"], time.monotonic() - began
    return summary


def finish(store: ResultStore, names: Sequence[str], facts: ModelFacts, part: Part) -> Summary:
    """Write the tables of a whole run, or the note by which `merge` knows that a part is done."""
    results = None
    if part.whole:
        tally = store.tables(names, facts.experts)
        results = write_results(store, names, facts)
    else:
        tally = Tally()
        for result in store.read_all(names):
            tally.add(result)
        note = {"studies": list(names), **asdict(facts)}
        store.write(f"{PRIVATE}/{part.name}.json", json.dumps(note))
    status = tally.status
    return Summary(
        len(names),
        status["ok"],
        status["refused"],
        warned=tally.warned,
        reasons=tally.reasons.most_common(),
        warnings=tally.warnings.most_common(),
        results=results,
        spared=dict(tally.spared),
    )


def facts_of(job: Job) -> ModelFacts:
    """Return what the tables at the end take from the job's model."""
    from i2m2_med.engine.prediction.model_files import read_about, read_portable

    run = read_portable(job.model / "config.yaml")
    about = read_about(job.model, run)
    experts = run.paradigms[about["paradigm"]].experts
    return ModelFacts(tuple(experts), source_of(job.model).name, tuple(about["labels"]), tuple(about["classes"]))


def source_of(model: Path) -> Source:
    """Return the source that opens a model's studies."""
    from i2m2_med.engine.prediction.model_files import read_portable
    from i2m2_med.samples.preparing import open_source

    return open_source(read_portable(model / "config.yaml"))


def expected_of(model: Path) -> str:
    """Return how a study of this model has to look: as its data set says, with the columns that the config joins."""
    from i2m2_med.engine.prediction.model_files import read_portable
    from i2m2_med.samples.preparing import open_source

    run = read_portable(model / "config.yaml")
    joined = [
        f"{name}.json: {{{', '.join(one.columns)}}} of the {one.by}; null, or left out, where it is not known"
        for name, one in run.modalities.columns.items()
    ]
    return "\n\n".join([open_source(run).expects().rstrip(), *joined])


def merge(out: Path) -> Summary:
    """Put the parts of a shared run together. Raises UserError where a part has not finished."""
    if not (out / PRIVATE).is_dir():
        raise UserError(f"{out} holds no scores; name the OUT of `i2m2 score … --num-parts N --part-id i`")
    with lock_output(out, Part()) as store:
        count, notes = finished_parts(out)
        names = sorted(name for note in notes for name in note["studies"])
        models = {(result["model"], result["config_sha"]) for result in store.read_all(names)}
        if len(models) > 1:
            raise UserError(f"{out}: the {count} parts were scored with {len(models)} models; score them with one")
        return finish(store, names, ModelFacts.noted(notes[0] if notes else {}), Part())


def finished_parts(out: Path) -> tuple[int, list[dict[str, Any]]]:
    """Return the number of parts last scored with, and the note of each. Raises UserError naming parts that lack."""
    started = sorted((out / PRIVATE).glob("part-*-of-*.lock"), key=lambda path: path.stat().st_mtime_ns)
    if not started:
        raise UserError(f"{out} was not scored in parts; there is nothing to merge")
    count = int(started[-1].stem.rpartition("-")[2])
    paths = [out / PRIVATE / f"part-{index}-of-{count}.json" for index in range(count)]
    lacking = [str(index) for index, path in enumerate(paths) if not path.exists()]
    if lacking:
        raise UserError(f"{out}: of {count} parts, {', '.join(lacking)} did not finish yet; score them, then merge")
    return count, [json.loads(path.read_text(encoding="utf-8")) for path in paths]
