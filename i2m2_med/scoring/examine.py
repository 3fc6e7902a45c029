"""One study from folder to result, as messages that a pool of workers shares: read in one process, predicted in another."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from i2m2_med.disk_errors import is_full_disk
from i2m2_med.scoring.answer import StudyOutputs, StudyPredictor
from i2m2_med.scoring.extras import Extras
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.reading import Chunk, Reader, Refusal, refusal
from i2m2_med.scoring.remote import fetched
from i2m2_med.scoring.results import ResultStore
from i2m2_med.scoring.study_names import StudyFolder


@dataclass(frozen=True)
class Hashed:
    """The hash of the study's content; its chunks follow."""

    content: str


@dataclass(frozen=True)
class AlreadyScored:
    """The study was scored before: same content, same model."""


@dataclass(frozen=True)
class EndOfStudy:
    """The study is read to its end."""

    seconds: float


Message = Hashed | AlreadyScored | Chunk | Refusal | EndOfStudy


@dataclass(frozen=True)
class Outcome:
    """How the scoring of one study ended."""

    name: str
    status: str
    """ok, refused, or same (scored before)."""
    why: str = ""
    seconds: float = 0.0


def examine(reader: Reader, store: ResultStore, job: Job, study: StudyFolder) -> Iterator[Message]:
    """Check a study's files, hash them and, unless that content was scored before, read it chunk by chunk."""
    began = time.perf_counter()
    with ExitStack() as held:
        try:
            here = held.enter_context(fetched(study, store.room))
            content = reader.content(here.folder)
        except Exception as error:  # as in `Reader.chunks`: one study must not stop the others
            yield Refusal(refusal(error, study.folder).why, lasting=False)
        else:
            if store.key(study.name) == job.key(content):
                yield AlreadyScored()
                return
            yield Hashed(content)
            yield from reader.chunks(here.folder)
    yield EndOfStudy(time.perf_counter() - began)


class StudyInProgress:
    """One study being scored: takes its messages, runs the model, and saves the result."""

    def __init__(self, predictor: StudyPredictor, store: ResultStore, study: StudyFolder) -> None:
        self.predictor, self.store, self.study = predictor, store, study
        self.outputs = StudyOutputs()
        self.content = ""
        self.seconds = 0.0
        self.held: Chunk | None = None
        """All of a small study: it may be predicted together with others."""
        self.known = False
        """It was scored before."""

    def add(self, messages: Sequence[Message]) -> bool:
        """Work through some messages; return whether the study is read to its end."""
        for message in messages:
            if isinstance(message, Hashed):
                self.content = message.content
            elif isinstance(message, AlreadyScored):
                self.known = True
                return True
            elif isinstance(message, EndOfStudy):
                self.seconds += message.seconds
                return True
            else:
                self.predict(message)
        return False

    def predict(self, message: Chunk | Refusal) -> None:
        """Predict a chunk, or hold it where it may be all that a small study has."""
        began = time.perf_counter()
        if self.held is not None:
            self.predictor.add(self.outputs, self.held)
            self.held = None
        if isinstance(message, Chunk) and not self.outputs.outputs and self.predictor.small(message):
            self.held = message
        else:
            self.predictor.add(self.outputs, message)
        self.seconds += time.perf_counter() - began

    def finish(self) -> Outcome:
        """Save the study's result."""
        if self.known:
            return Outcome(self.study.name, "same")
        result = self.predictor.result(self.study.name, self.content, self.outputs, self.seconds)
        if result["status"] == "ok" and self.predictor.job.extras:
            result = self.with_extras(result)
        self.store.save(result)
        return Outcome(self.study.name, result["status"], result["error"], self.seconds)

    def with_extras(self, result: dict[str, Any]) -> dict[str, Any]:
        """Write the extra files and return the result; where they can't be made of the study, its warning gives the reason.

        Raises UserError where they can't be made of any study, or the disk is full.
        """
        extras = Extras(self.predictor.job, self.predictor.trained)
        try:
            extras.write(self.store, self.study, result)
        except Exception as error:  # one study must not stop the others
            if is_full_disk(error):
                raise
            why = refusal(error, self.study.folder).why
            return result | {"warning": "; ".join(filter(None, [result["warning"], f"no extras: {why}"]))}
        return result


class StudyBatch:
    """Studies that are read to their end and wait for a forward pass together; with `Job.together` 1 none ever waits."""

    def __init__(self, predictor: StudyPredictor) -> None:
        self.predictor = predictor
        self.waiting: list[StudyInProgress] = []

    def add(self, study: StudyInProgress) -> Iterator[Outcome]:
        """Take a study that is read; yield the outcomes of those that are finished by that."""
        if study.held is None:
            yield study.finish()
            return
        self.waiting.append(study)
        if len(self.waiting) >= self.predictor.job.together:
            yield from self.finish()

    def finish(self) -> Iterator[Outcome]:
        """Predict the studies that wait, those of one shape together, and finish them."""
        studies, self.waiting = self.waiting, []
        shapes: dict[Any, list[StudyInProgress]] = {}
        for study in studies:
            assert study.held is not None
            shapes.setdefault(study.held.shape, []).append(study)
        for alike in shapes.values():
            began = time.perf_counter()
            chunks = [study.held for study in alike if study.held is not None]
            self.predictor.add_together([study.outputs for study in alike], chunks)
            share = (time.perf_counter() - began) / len(alike)
            for study in alike:
                study.held = None
                study.seconds += share
        for study in studies:
            yield study.finish()
