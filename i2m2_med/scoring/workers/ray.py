"""Scoring on a Ray cluster: Ray Data workers study paths to actors that read, predict and save the result; no tensor travels.

Studies, model folder and output folder lie where every node sees them under the same path.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from i2m2_med.errors import UserError, extra_hint
from i2m2_med.scoring.examine import Outcome
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.results import ResultStore
from i2m2_med.scoring.studies import StudyFolder
from i2m2_med.scoring.workers.engine import Engine

AT_ONCE = 16
"""Studies that an actor is given at a time."""


class Actor:
    """A worker with the model in memory, on one of the cluster's nodes."""

    def __init__(self, job: Job, store: ResultStore) -> None:
        from i2m2_med.scoring.answer import StudyPredictor
        from i2m2_med.scoring.reading import Reader

        self.store = store
        self.predictor = StudyPredictor(job)
        self.reader = Reader(job.model)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Score a few studies; columns name, folder → name, status, why, seconds."""
        from i2m2_med.scoring.workers.readers import score_in_process

        pairs = zip(batch["name"], batch["folder"], strict=True)
        studies = [StudyFolder(str(name), Path(str(folder))) for name, folder in pairs]
        outcomes = [asdict(outcome) for outcome in score_in_process(self.predictor, self.reader, self.store, studies)]
        return {column: [outcome[column] for outcome in outcomes] for column in ("name", "status", "why", "seconds")}


def ray_engine(actors: int) -> Engine:
    """Return an engine of `actors` actors, on the cluster of $RAY_ADDRESS or, where there is none, on this machine."""

    def engine(job: Job, store: ResultStore, studies: Sequence[StudyFolder]) -> Iterator[Outcome]:
        try:
            import ray
        except ImportError as error:
            raise UserError(f"--engine ray needs Ray: {extra_hint('ray')}") from error
        if not studies:
            return
        ours = not ray.is_initialized()
        if ours:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        try:
            ray.data.DataContext.get_current().enable_progress_bars = False
            rows = [{"name": study.name, "folder": str(study.folder.absolute())} for study in studies]
            scored = ray.data.from_items(rows).map_batches(
                Actor,
                fn_constructor_args=(job, store),
                batch_size=AT_ONCE,
                compute=ray.data.ActorPoolStrategy(size=actors),
                num_gpus=1 if job.device.startswith("cuda") else 0,
            )
            for row in scored.iter_rows():
                yield Outcome(str(row["name"]), str(row["status"]), str(row["why"]), float(row["seconds"]))
        finally:
            if ours:
                ray.shutdown()

    return engine
