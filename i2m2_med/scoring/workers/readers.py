"""Scoring on this machine: reader processes feed a model process per device.

A reader holds one chunk until the model takes it, so memory does not grow with the number of studies, whoever is slow.
Each reader has its own pipe: one that dies (killed for want of memory, or crashed) costs the study it was reading, no more.
"""

import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from i2m2_med.console import say
from i2m2_med.forkserver import how_ended
from i2m2_med.memory_limit import limit_memory
from i2m2_med.scoring.answer import StudyPredictor
from i2m2_med.scoring.examine import Message, Outcome, StudyBatch, StudyInProgress, examine
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.reading import Chunk, Reader, Refusal
from i2m2_med.scoring.results import ResultStore
from i2m2_med.scoring.study_names import StudyFolder
from i2m2_med.scoring.workers.forkserver import modules_of, start_method

AHEAD = 2
"""Studies assigned to a reader at a time: the one it reads and the next."""
SENT_AT_ONCE = 4 * 2**20
"""Bytes of tensors that a reader collects before it sends them."""
STARTUP = 300.0
"""Seconds that a reader may take to start, on a machine with much else to do."""
READER_MEMORY = 4 * 2**30
"""Bytes that a reader may take for studies. The largest that pass the checks need 1 GiB and what is made of it; a damaged HDF5
file of a few kilobytes can ask for any amount."""
TRIES = 2
"""How often a study is read before it is held to be what kills the reader."""


def score_in_process(
    predictor: StudyPredictor, reader: Reader, store: ResultStore, studies: Sequence[StudyFolder]
) -> Iterator[Outcome]:
    """Read in this process, one study after the other, and predict."""
    batch = StudyBatch(predictor)
    for study in studies:
        current = StudyInProgress(predictor, store, study)
        for message in examine(reader, store, predictor.job, study):
            current.add([message])
        yield from batch.add(current)
    yield from batch.finish()


def read_studies(pipe: Connection, job: Job, store: ResultStore, inherited: Sequence[Connection] = ()) -> None:
    """Run a reader process: receive study folders and send their messages, until the other end of the pipe closes.

    inherited: other ends that a forked reader has got copies of; while it holds them nobody notices that one has closed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the model process decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    import torch

    for other in inherited:
        other.close()
    torch.set_num_threads(1)
    reader = Reader(job.model)
    limit_memory(READER_MEMORY)
    try:
        pipe.send([])  # ready: from now on silence counts
        while (study := pipe.recv()) is not None:
            send_study(pipe, examine(reader, store, job, study))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def send_study(pipe: Connection, messages: Iterator[Message]) -> None:
    """Send a study's messages, several at a time up to `SENT_AT_ONCE` bytes."""
    batch: list[Message] = []
    size = 0
    for message in messages:
        batch.append(message)
        size += sum(array.nbytes for array in message.inputs.values()) if isinstance(message, Chunk) else 0
        if size > SENT_AT_ONCE:
            pipe.send(batch)
            batch, size = [], 0
    pipe.send(batch)


@dataclass
class Worker:
    """A reader process as the model process sees it."""

    process: Any
    pipe: Connection
    assigned: deque[StudyFolder] = field(default_factory=deque[StudyFolder])
    current: StudyInProgress | None = None
    last_message: float = field(default_factory=time.monotonic)
    """When it last sent something."""
    ready: bool = False
    """It has imported what it needs and reads."""


class WorkerPool:
    """Reader processes that feed the model in this process."""

    def __init__(
        self,
        job: Job,
        store: ResultStore,
        n_readers: int,
        timeout: float,
        context: Any = None,
        predictor: StudyPredictor | None = None,
    ) -> None:
        """context: how reader processes start, `start_method` by default; predictor: the model, if it is loaded."""
        self.job, self.store, self.timeout = job, store, timeout
        self.context = context or start_method(modules_of(job.model))
        self.workers: list[Worker] = []
        for _ in range(n_readers):
            self.workers.append(self.start_worker())
        self.predictor = predictor or StudyPredictor(job)
        self.batch = StudyBatch(self.predictor)
        self.waiting: deque[StudyFolder] = deque()
        self.tries: dict[StudyFolder, int] = {}

    def start_worker(self) -> Worker:
        """Start one reader."""
        ours, theirs = self.context.Pipe()
        forked = self.context.get_start_method() == "fork"
        inherited = [ours, *(worker.pipe for worker in self.workers)] if forked else []
        process = self.context.Process(target=read_studies, args=(theirs, self.job, self.store, inherited), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, ours)

    def run(self, studies: Sequence[StudyFolder]) -> Iterator[Outcome]:
        """Score studies; outcomes come in the order in which studies are finished."""
        self.waiting.extend(studies)
        while self.assign():
            busy = {worker.pipe: worker for worker in self.workers if worker.assigned}
            heard = wait(list(busy), timeout=0.0 if self.batch.waiting else 1.0)
            for pipe in heard:
                yield from self.receive(busy[pipe])  # pyright: ignore[reportArgumentType]
            if not heard:
                yield from self.batch.finish()  # rather than wait for readers
            for worker in list(busy.values()):
                if worker in self.workers and worker.assigned and self.hangs(worker):
                    worker.process.kill()
                    yield from self.replace(worker, f"reading it took more than {self.timeout:.0f} s", TRIES)
        yield from self.batch.finish()

    def assign(self) -> bool:
        """Assign waiting studies to readers; return False when there is nothing left to do."""
        for ahead in range(1, AHEAD + 1):
            for worker in self.workers:
                while self.waiting and len(worker.assigned) < ahead:
                    if not worker.assigned:
                        worker.last_message = time.monotonic()
                    worker.assigned.append(self.waiting.popleft())
                    try:
                        worker.pipe.send(worker.assigned[-1])
                    except OSError:
                        break  # it died: noticed when its pipe is read
        return any(worker.assigned for worker in self.workers)

    def receive(self, worker: Worker) -> Iterator[Outcome]:
        """Take what a reader has sent."""
        try:
            messages: list[Message] = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            tries = self.tries.get(worker.assigned[0], 0) + 1
            why = f"the process that read it was {how_ended(worker.process.exitcode)}"
            yield from self.replace(worker, why, tries)
            return
        worker.ready = True
        worker.current = worker.current or StudyInProgress(self.predictor, self.store, worker.assigned[0])
        read = worker.current.add(messages)
        worker.last_message = time.monotonic()
        if read:
            study, worker.current = worker.current, None
            worker.assigned.popleft()
            yield from self.batch.add(study)

    def hangs(self, worker: Worker) -> bool:
        """Return whether a reader has been silent for too long."""
        patience = self.timeout if worker.ready else max(self.timeout, STARTUP)
        return time.monotonic() - worker.last_message > patience and not worker.pipe.poll()

    def replace(self, worker: Worker, why: str, tries: int) -> Iterator[Outcome]:
        """Replace a dead reader; its study is read once more, then refused."""
        study, *others = worker.assigned
        self.tries[study] = tries
        worker.pipe.close()
        worker.process.join()
        self.workers[self.workers.index(worker)] = self.start_worker()
        self.waiting.extendleft(reversed(others))
        say(f"{study.name}: {why}" + ("; trying once more" if tries < TRIES else ""))
        if tries < TRIES:
            self.waiting.appendleft(study)
            return
        refused = StudyInProgress(self.predictor, self.store, study)
        refused.add([Refusal(why, lasting=False)])
        yield refused.finish()

    def close(self) -> None:
        """End the readers, whatever they are at: they write nothing."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.pipe.close()
            worker.process.join()
