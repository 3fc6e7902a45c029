"""Processes of this machine that work for one experiment side by side: each opens it once and does one task after the other."""

import signal
import traceback
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from i2m2_med.console import Advance, Progress
from i2m2_med.engine.training.experiment import Experiment
from i2m2_med.engine.training.preloaded import start
from i2m2_med.engine.training.units import Assignment, Task, left_out, waves
from i2m2_med.errors import UserError
from i2m2_med.files import private
from i2m2_med.forkserver import end_with_parent, how_ended, see_one_gpu
from i2m2_med.parts import Part
from i2m2_med.signals import end_now, kill_children, stoppable

PATIENCE = 10.0
"""Seconds in which a process that is told to stop closes its run; then it is killed."""


class Outcome(NamedTuple):
    """What became of a task: its value, or a line that says why it has none."""

    value: Any = None
    error: str = ""
    died: bool = False
    """Its process ended before it did, or it met a bug."""


Ready = Callable[[], Task | None]
"""Returns a task that can be done now, each once; None: nothing more before others are done."""
Told = Callable[[Task, Outcome], None]
"""Is told what became of each task."""


def train_side_by_side(assignment: Assignment, part: Part, jobs: int, progress: Progress) -> None:
    """Train a part of a comparison in `jobs` processes, on the GPUs in turn where there are any.

    A training that fails stops no other: those that fail are named at the end. Raises UserError then, RuntimeError where one was a bug.
    """
    failed: list[str] = []

    def told(task: Task, outcome: Outcome) -> None:
        failed.extend([f"{task.name}: {outcome.error}"] if outcome.error else [])

    with workers(assignment, jobs, progress) as pool:
        for wave in waves(assignment, part):
            waiting = iter(wave)
            pool.run(lambda waiting=waiting: next(waiting, None), told)
    left_out(failed)


def in_turn(experiment: Experiment, ready: Ready, told: Told) -> None:
    """Do tasks in this process, one after the other."""
    while (task := ready()) is not None:
        try:
            outcome = Outcome(task.run(experiment))
        except UserError as error:
            outcome = Outcome(error=str(error))
        told(task, outcome)


@dataclass
class Worker:
    """A process, what it does, and its bar on the terminal."""

    process: BaseProcess
    slot: int
    task: Task | None = None
    shown: ExitStack = field(default_factory=ExitStack)
    advance: Advance = print


@dataclass
class Workers:
    """Up to `jobs` processes, each started when there is something to do for it."""

    assignment: Assignment
    jobs: int
    progress: Progress
    running: dict[Connection, Worker] = field(default_factory=dict[Connection, Worker])
    bugs: list[str] = field(default_factory=list[str])
    """Tracebacks, each behind the name of its task."""

    def run(self, ready: Ready, told: Told) -> None:
        """Do tasks until none is ready and none is being done. Raises RuntimeError then where one met a bug."""
        while busy := self.assigned(ready):
            for pipe in wait(busy):
                assert isinstance(pipe, Connection)
                self.hear(pipe, self.running[pipe], told)
        if self.bugs:
            raise RuntimeError("\n".join(self.bugs))

    def assigned(self, ready: Ready) -> list[Connection]:
        """Give everybody who has nothing to do a task that is ready; return who has one."""
        idle = [pipe for pipe, worker in self.running.items() if worker.task is None]
        while (idle or len(self.running) < self.jobs) and (task := ready()) is not None:
            pipe = idle.pop() if idle else self.start()
            self.running[pipe].task = task
            with suppress(OSError):  # it has ended: heard next
                pipe.send(task)
        return [pipe for pipe, worker in self.running.items() if worker.task is not None]

    def start(self) -> Connection:
        """Start a process; it has imported what it needs."""
        context = start()
        slot = min(set(range(self.jobs)) - {worker.slot for worker in self.running.values()})
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self.assignment, slot, threads_each(self.jobs)))
        process.start()
        theirs.close()
        self.running[ours] = Worker(process, slot)
        return ours

    def hear(self, pipe: Connection, worker: Worker, told: Told) -> None:
        """Take what a process says."""
        task, words = worker.task, list[Any]()
        assert task is not None
        try:
            kind, *words = pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            how = how_ended(code := worker.process.exitcode) + (" (fewer --jobs)" if code == -signal.SIGKILL else "")
            kind = "done"
            words.append(Outcome(error=f"its process was {how}", died=True))
            self.running.pop(pipe)
            pipe.close()
        if kind == "bar":
            worker.shown.close()
            worker.advance = worker.shown.enter_context(self.progress.bar(*words))
        elif kind == "step":
            worker.advance(*words)
        elif kind == "say":
            self.progress.say(*words)
        else:
            if kind == "bug":
                self.bugs.append(f"{task.name}: {words[0]}")
                words = [Outcome(error="a bug", died=True)]
            worker.shown.close()
            worker.task = None
            told(task, *words)


@contextmanager
def workers(assignment: Assignment, jobs: int, progress: Progress) -> Generator[Workers]:
    """Yield processes to work for an experiment; on leaving they end: what still runs in order (its run is closed), or soon."""
    pool = Workers(assignment, jobs, progress)
    try:
        with progress.together():
            yield pool
    finally:
        for worker in pool.running.values():
            worker.process.terminate()
        for worker in pool.running.values():
            worker.process.join(PATIENCE)
            kill_children(worker.process.pid) if worker.process.is_alive() else None
            worker.process.kill()
            worker.process.join()
            worker.shown.close()


class Sent(Progress):
    """Progress that another process shows."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    @contextmanager
    def bar(self, what: str, total: int) -> Generator[Advance]:
        """A bar in the other process."""
        self.pipe.send(("bar", what, total))
        yield lambda text: self.pipe.send(("step", text))

    def say(self, message: str) -> None:
        """One line for a person."""
        self.pipe.send(("say", message))


def work(pipe: Connection, assignment: Assignment, slot: int, threads: int) -> None:
    """Do the tasks that come through the pipe, and send what becomes of each."""
    import torch

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent(end_now)
    torch.set_num_threads(threads)
    see_one_gpu(slot)
    experiment: Experiment | None = None
    gone = (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt)
    with suppress(*gone), private(), stoppable():
        while True:
            task: Task = pipe.recv()
            try:
                experiment = experiment or assignment.open(Sent(pipe))
                pipe.send(("done", Outcome(task.run(experiment))))
            except UserError as error:
                pipe.send(("done", Outcome(error=str(error))))
            except gone:
                raise
            except Exception:
                pipe.send(("bug", traceback.format_exc()))


def threads_each(jobs: int) -> int:
    """Return the threads of a process: what OMP_NUM_THREADS says, else its share of the cores.

    The number of threads decides the last bits on a CPU: with OMP_NUM_THREADS=1 side by side and one after the other are equal.
    """
    import os

    import torch

    return torch.get_num_threads() if "OMP_NUM_THREADS" in os.environ else max(1, torch.get_num_threads() // jobs)
