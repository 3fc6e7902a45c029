"""Scoring on this machine: readers in processes of their own feed a model process per device.

A reader holds one chunk until the model takes it, so memory does not grow with the number of studies, whoever is slow.
Each reader has its own pipe: one that dies (killed for want of memory, or crashed) costs the study it was reading, no more.
"""

import resource
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from i2m2_med.console import say
from i2m2_med.scoring.answer import Answerer
from i2m2_med.scoring.examine import Desk, Piece, Report, examine
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.reading import Chunk, Reader, Refusal
from i2m2_med.scoring.results import Shelf
from i2m2_med.scoring.studies import Place
from i2m2_med.scoring.workers.forkserver import modules_of, start_method

AHEAD = 2
"""Studies that a reader has been told of: the one it reads and the next."""
SENT_AT_ONCE = 4 * 2**20
"""Bytes of tensors that a reader collects before it sends them."""
STARTUP = 300.0
"""Seconds that a reader may take to start, on a machine with much else to do."""
READER_MEMORY = 4 * 2**30
"""Bytes that a reader may take for studies. The largest that pass the guard need 1 GiB and what is made of it; a damaged HDF5
file of a few kilobytes can ask for any amount."""
TRIES = 2
"""How often a study is read before it is held to be what kills the reader."""


def score_here(answerer: Answerer, reader: Reader, shelf: Shelf, places: Sequence[Place]) -> Iterator[Report]:
    """Read and judge in this process, one study after the other."""
    for place in places:
        desk = Desk(answerer, shelf, place)
        for piece in examine(reader, shelf, answerer.job, place):
            report = desk.take([piece])
            if report is not None:
                yield report


def serve(pipe: Connection, job: Job, shelf: Shelf, inherited: Sequence[Connection] = ()) -> None:
    """A reader's life: study folders in, pieces out, until the other end closes.

    inherited: other ends that a forked reader has got copies of; while it holds them nobody hears that one has closed.
    """
    import torch

    for other in inherited:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the model process decides
    torch.set_num_threads(1)
    reader = Reader(job.model)
    bound_memory()
    try:
        pipe.send([])  # ready: from now on silence counts
        while (place := pipe.recv()) is not None:
            parcel: list[Piece] = []
            size = 0
            for piece in examine(reader, shelf, job, place):
                parcel.append(piece)
                size += sum(array.nbytes for array in piece.inputs.values()) if isinstance(piece, Chunk) else 0
                if size > SENT_AT_ONCE:
                    pipe.send(parcel)
                    parcel, size = [], 0
            pipe.send(parcel)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def bound_memory() -> None:
    """Let this process take `READER_MEMORY` beside what it has; asking for more fails at once, and refuses the study."""
    if sys.platform != "linux":
        return
    limit = psutil.Process().memory_info().data + READER_MEMORY
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))


@dataclass
class Hand:
    """A reader process as the model process sees it."""

    process: Any
    pipe: Connection
    told: deque[Place] = field(default_factory=deque[Place])
    desk: Desk | None = None
    heard: float = field(default_factory=time.monotonic)
    """When it last said something."""
    ready: bool = False
    """It has imported what it needs and reads."""


class Pool:
    """Readers that feed the model in this process."""

    def __init__(
        self,
        job: Job,
        shelf: Shelf,
        n_readers: int,
        timeout: float,
        context: Any = None,
        answerer: Answerer | None = None,
    ) -> None:
        """context: how reader processes start, by `start_method` where not said; answerer: the model, if it is loaded."""
        self.job, self.shelf, self.timeout = job, shelf, timeout
        self.context = context or start_method(modules_of(job.model))
        self.hands: list[Hand] = []
        for _ in range(n_readers):
            self.hands.append(self.hire())
        self.answerer = answerer or Answerer(job)
        self.waiting: deque[Place] = deque()
        self.tries: dict[Place, int] = {}

    def hire(self) -> Hand:
        """Start one reader."""
        ours, theirs = self.context.Pipe()
        forked = self.context.get_start_method() == "fork"
        inherited = [ours, *(hand.pipe for hand in self.hands)] if forked else []
        process = self.context.Process(target=serve, args=(theirs, self.job, self.shelf, inherited), daemon=True)
        process.start()
        theirs.close()
        return Hand(process, ours)

    def run(self, places: Sequence[Place]) -> Iterator[Report]:
        """Score studies, in the order in which they get ready."""
        self.waiting.extend(places)
        while self.tell():
            busy = {hand.pipe: hand for hand in self.hands if hand.told}
            for pipe in wait(list(busy), timeout=1.0):
                yield from self.listen(busy[pipe])  # pyright: ignore[reportArgumentType]
            for hand in list(busy.values()):
                if hand in self.hands and hand.told and self.hangs(hand):
                    hand.process.kill()
                    yield from self.lose(hand, f"reading it took more than {self.timeout:.0f} s", TRIES)

    def tell(self) -> bool:
        """Give every reader something to do; False when there is nothing left."""
        for ahead in range(1, AHEAD + 1):
            for hand in self.hands:
                while self.waiting and len(hand.told) < ahead:
                    if not hand.told:
                        hand.heard = time.monotonic()
                    hand.told.append(self.waiting.popleft())
                    try:
                        hand.pipe.send(hand.told[-1])
                    except OSError:
                        break  # it died: heard of when its pipe is read
        return any(hand.told for hand in self.hands)

    def listen(self, hand: Hand) -> Iterator[Report]:
        """Take what a reader sends."""
        try:
            pieces: list[Piece] = hand.pipe.recv()
        except (EOFError, OSError):
            hand.process.join()
            code = hand.process.exitcode
            why = "killed, most likely for want of memory" if code == -signal.SIGKILL else f"ended by {ending(code)}"
            yield from self.lose(hand, f"the process that read it was {why}", self.tries.get(hand.told[0], 0) + 1)
            return
        hand.ready = True
        desk = hand.desk or Desk(self.answerer, self.shelf, hand.told[0])
        hand.desk = desk
        report = desk.take(pieces)
        hand.heard = time.monotonic()
        if report is not None:
            hand.told.popleft()
            hand.desk = None
            yield report

    def hangs(self, hand: Hand) -> bool:
        """Whether a reader has been silent for too long."""
        patience = self.timeout if hand.ready else max(self.timeout, STARTUP)
        return time.monotonic() - hand.heard > patience and not hand.pipe.poll()

    def lose(self, hand: Hand, why: str, tries: int) -> Iterator[Report]:
        """Replace a reader; its study is tried once more, then refused."""
        place, *others = hand.told
        self.tries[place] = tries
        hand.pipe.close()
        hand.process.join()
        self.hands[self.hands.index(hand)] = self.hire()
        self.waiting.extendleft(reversed(others))
        say(f"{place.name}: {why}" + ("; trying once more" if tries < TRIES else ""))
        if tries < TRIES:
            self.waiting.appendleft(place)
            return
        desk = Desk(self.answerer, self.shelf, place)
        desk.take([Refusal(why, lasting=False)])
        yield desk.close()

    def close(self) -> None:
        """Send the readers home."""
        for hand in self.hands:
            hand.pipe.close()
            hand.process.join(5)
            if hand.process.is_alive():
                hand.process.kill()


def ending(code: int | None) -> str:
    """How a process ended."""
    return f"signal {-code} ({signal.Signals(-code).name})" if code is not None and code < 0 else f"exit code {code}"
