"""Several model processes on one machine: one per device, or per core."""

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from i2m2_med.errors import UserError
from i2m2_med.forkserver import how_ended, see_one_gpu
from i2m2_med.scoring.examine import Outcome
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.results import ResultStore
from i2m2_med.scoring.study_names import StudyFolder
from i2m2_med.scoring.workers.forkserver import modules_of, start_method
from i2m2_med.scoring.workers.readers import WorkerPool
from i2m2_med.signals import kill_children


def score_in_processes(
    job: Job, store: ResultStore, studies: Sequence[StudyFolder], count: int, readers: int, timeout: float
) -> Iterator[Outcome]:
    """Share the studies among `count` model processes, each with readers of its own.

    Raises UserError where one dies; what is done is kept.
    """
    context = start_method(modules_of(job.model))
    running: dict[Connection, BaseProcess] = {}
    try:
        for index in range(count):
            ours, theirs = context.Pipe(duplex=False)
            arguments = (theirs, index, job, store, studies[index::count], readers, timeout)
            process = context.Process(target=run_model_process, args=arguments)
            process.start()
            theirs.close()
            running[ours] = process
        while running:
            for pipe in wait(list(running)):
                assert isinstance(pipe, Connection)
                try:
                    outcome: Outcome | None = pipe.recv()
                except EOFError:
                    raise process_died(running[pipe]) from None
                if outcome is None:
                    running.pop(pipe).join()
                else:
                    yield outcome
    finally:
        for process in running.values():  # they write whole files only
            kill_children(process.pid)
            process.kill()
            process.join()


def run_model_process(
    pipe: Connection,
    index: int,
    job: Job,
    store: ResultStore,
    studies: Sequence[StudyFolder],
    readers: int,
    timeout: float,
) -> None:
    """Score the share of model process `index` and send each outcome, then None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    see_one_gpu(index)
    fork = multiprocessing.get_context("fork")  # this process is fresh and has no threads yet
    pool = WorkerPool(job, store, max(readers, 1), timeout, fork)
    try:
        for outcome in pool.run(studies):
            pipe.send(outcome)
        pipe.send(None)
    except BrokenPipeError:
        return  # the process that started this one is gone
    finally:
        pool.close()


def process_died(process: BaseProcess) -> UserError:
    """Return the error for a model process that died."""
    process.join()
    how = how_ended(process.exitcode)
    return UserError(f"a model process was {how}; what is scored is kept: start again with fewer --processes")
