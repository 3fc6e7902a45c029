"""Engines that score the studies of a run: worker processes on this machine, or this process alone."""

from collections.abc import Callable, Iterator, Sequence

from i2m2_med.cores import usable_cores
from i2m2_med.scoring.examine import Outcome
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.results import ResultStore
from i2m2_med.scoring.study_names import StudyFolder

Engine = Callable[[Job, ResultStore, Sequence[StudyFolder]], Iterator[Outcome]]
"""Scores studies and saves each result in the store; yields outcomes in the order in which studies are finished."""


def local_engine(readers: int, processes: int, timeout: float) -> Engine:
    """Return an engine of readers and model processes on this machine; `readers` 0 reads in the model's own process."""

    def engine(job: Job, store: ResultStore, studies: Sequence[StudyFolder]) -> Iterator[Outcome]:
        from i2m2_med.scoring.answer import StudyPredictor
        from i2m2_med.scoring.reading import Reader
        from i2m2_med.scoring.workers.processes import score_in_processes
        from i2m2_med.scoring.workers.readers import WorkerPool, score_in_process

        if processes > 1 and len(studies) > 1:
            yield from score_in_processes(job, store, studies, min(processes, len(studies)), readers, timeout)
            return
        if not readers:
            yield from score_in_process(StudyPredictor(job), Reader(job.model), store, studies)
            return
        pool = WorkerPool(job, store, min(readers, max(len(studies), 1)), timeout, predictor=StudyPredictor(job))
        try:
            yield from pool.run(studies)
        finally:
            pool.close()

    return engine


def default_readers(processes: int) -> int:
    """Return the number of readers per model process that keeps all cores busy."""
    return max(1, usable_cores() // processes - 1)
