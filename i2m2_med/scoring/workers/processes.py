"""Several model processes on one machine: one per device, or per core."""

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from i2m2_med.errors import UserError
from i2m2_med.scoring.examine import Report
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.results import Shelf
from i2m2_med.scoring.studies import Place
from i2m2_med.scoring.workers.forkserver import modules_of, start_method
from i2m2_med.scoring.workers.readers import Pool, ending


def spread(
    job: Job, shelf: Shelf, places: Sequence[Place], count: int, readers: int, timeout: float
) -> Iterator[Report]:
    """Share the studies among `count` model processes, each with readers of its own.

    Raises UserError where one dies; what is done is kept.
    """
    context = start_method(modules_of(job.model))
    running: dict[Connection, BaseProcess] = {}
    try:
        for index in range(count):
            ours, theirs = context.Pipe(duplex=False)
            mine = replace(job, device=device_of(job.device, index))
            process = context.Process(target=serve, args=(theirs, mine, shelf, places[index::count], readers, timeout))
            process.start()
            theirs.close()
            running[ours] = process
        while running:
            for pipe in wait(list(running)):
                assert isinstance(pipe, Connection)
                try:
                    report: Report | None = pipe.recv()
                except EOFError:
                    raise lost(running[pipe]) from None
                if report is None:
                    running.pop(pipe).join()
                else:
                    yield report
    finally:
        for process in running.values():
            process.terminate()
            process.join()


def serve(pipe: Connection, job: Job, shelf: Shelf, places: Sequence[Place], readers: int, timeout: float) -> None:
    """A model process's life: score its studies and say how each went; None is its last word."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fork = multiprocessing.get_context("fork")  # this process is fresh and has no threads yet
    pool = Pool(job, shelf, max(readers, 1), timeout, fork)
    try:
        for report in pool.run(places):
            pipe.send(report)
        pipe.send(None)
    except BrokenPipeError:
        return  # the process that started this one is gone
    finally:
        pool.close()


def lost(process: BaseProcess) -> UserError:
    """What to say of a model process that died."""
    process.join()
    code = process.exitcode
    how = "killed, most likely for want of memory" if code == -signal.SIGKILL else f"ended by {ending(code)}"
    return UserError(f"a model process was {how}; what is scored is kept: start again with fewer --processes")


def device_of(device: str, index: int) -> str:
    """The device of model process `index`: GPUs in turn, or all on the CPU."""
    if device != "cuda":
        return device
    import torch

    return f"cuda:{index % max(1, torch.cuda.device_count())}"
