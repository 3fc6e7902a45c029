"""Scoring on a Ray cluster: Ray Data hands study paths to actors that read, judge and keep the result; no tensor travels.

Studies, model folder and output folder lie where every node sees them under the same path.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from i2m2_med.errors import UserError
from i2m2_med.scoring.examine import Report
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.results import Shelf
from i2m2_med.scoring.run import Engine
from i2m2_med.scoring.studies import Place

AT_ONCE = 16
"""Studies that an actor is given at a time."""


class Actor:
    """A model in memory on one of the cluster's nodes."""

    def __init__(self, job: Job, shelf: Shelf) -> None:
        from i2m2_med.scoring.answer import Answerer
        from i2m2_med.scoring.reading import Reader

        self.shelf = shelf
        self.answerer = Answerer(job)
        self.reader = Reader(job.model)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Score a few studies; columns name, folder → name, status, why, seconds."""
        from i2m2_med.scoring.workers.readers import score_here

        pairs = zip(batch["name"], batch["folder"], strict=True)
        places = [Place(str(name), Path(str(folder))) for name, folder in pairs]
        reports = [asdict(report) for report in score_here(self.answerer, self.reader, self.shelf, places)]
        return {column: [report[column] for report in reports] for column in ("name", "status", "why", "seconds")}


def ray_engine(actors: int) -> Engine:
    """An engine of `actors` actors, on the cluster of $RAY_ADDRESS or, where there is none, on this machine."""

    def engine(job: Job, shelf: Shelf, places: Sequence[Place]) -> Iterator[Report]:
        try:
            import ray
        except ImportError as error:
            raise UserError("--engine ray needs Ray: pip install 'i2m2-med[ray]'") from error
        if not places:
            return
        ours = not ray.is_initialized()
        if ours:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        try:
            ray.data.DataContext.get_current().enable_progress_bars = False
            rows = [{"name": place.name, "folder": str(place.folder.absolute())} for place in places]
            scored = ray.data.from_items(rows).map_batches(
                Actor,
                fn_constructor_args=(job, shelf),
                batch_size=AT_ONCE,
                compute=ray.data.ActorPoolStrategy(size=actors),
                num_gpus=1 if job.device.startswith("cuda") else 0,
            )
            for row in scored.iter_rows():
                yield Report(str(row["name"]), str(row["status"]), str(row["why"]), float(row["seconds"]))
        finally:
            if ours:
                ray.shutdown()

    return engine
