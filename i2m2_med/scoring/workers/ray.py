"""Scoring on a Ray cluster: Ray Data hands study paths to actors that read, predict and save the result; no tensor travels.

Studies, model folder and output folder lie where every node sees them under the same path, or in an object store. An actor has readers of its own, as a
model process on one machine has: a study that kills or hangs its reader is refused, whatever it does to it. An actor that is killed
starts again, here or on another node, and is given its block of studies once more; those that it had saved are not scored twice.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from math import ceil
from pathlib import Path
from typing import Any

from i2m2_med.errors import UserError
from i2m2_med.object_store import ObjectPath
from i2m2_med.ray_cluster import ray_cluster
from i2m2_med.scoring.examine import Outcome
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.results import ResultStore
from i2m2_med.scoring.study_names import StudyFolder
from i2m2_med.scoring.workers.engine import Engine

AT_ONCE = 64
"""Studies of a block: what an actor is given at a time, and looks at again after it was killed."""
COLUMNS = ("name", "folder", "bucket", "key", "is_object")


class Actor:
    """A worker with the model in memory, on one of the cluster's nodes."""

    def __init__(self, job: Job, store: ResultStore, readers: int, timeout: float) -> None:
        from i2m2_med.scoring.answer import StudyPredictor
        from i2m2_med.scoring.reading import Reader
        from i2m2_med.scoring.remote import on_this_node
        from i2m2_med.scoring.workers.readers import WorkerPool

        self.store = store
        job = ExitStack().enter_context(on_this_node(job))  # for as long as the actor lives
        self.predictor = StudyPredictor(job)
        self.reader = Reader(job.model)
        self.pool = WorkerPool(job, store, readers, timeout, predictor=self.predictor) if readers else None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Score a few studies; columns of `as_row` → name, status, why, seconds."""
        rows = zip(*(batch[column] for column in COLUMNS), strict=True)
        outcomes = [asdict(self.of_this_run(outcome)) for outcome in self.scored([sent_study(*row) for row in rows])]
        return {column: [outcome[column] for outcome in outcomes] for column in ("name", "status", "why", "seconds")}

    def scored(self, studies: Sequence[StudyFolder]) -> Iterator[Outcome]:
        """Yield the outcome of each study."""
        from i2m2_med.scoring.workers.readers import score_in_process

        if self.pool is None:
            return score_in_process(self.predictor, self.reader, self.store, studies)
        return self.pool.run(studies)

    def of_this_run(self, outcome: Outcome) -> Outcome:
        """Return the outcome, or that of an actor which this run had before and which was killed."""
        if outcome.status != "same" or not self.store.made_by_this_run(outcome.name):
            return outcome
        result = self.store.read(outcome.name)
        return Outcome(outcome.name, result["status"], result["error"])


def ray_engine(actors: int, readers: int = 0, timeout: float = 900.0) -> Engine:
    """Return an engine of `actors` actors, on the cluster of $RAY_ADDRESS or, where there is none, on this machine.

    readers: processes that read for each actor; 0: it reads itself. timeout: seconds after which reading a study is given up.
    """

    def engine(job: Job, store: ResultStore, studies: Sequence[StudyFolder]) -> Iterator[Outcome]:
        if not studies:
            return
        with ray_cluster() as ray:
            device = "GPU" if job.device.startswith("cuda") else "CPU"
            there = int(ray.cluster_resources().get(device, 0))
            if there < actors:
                raise UserError(
                    f"--processes {actors}: the Ray cluster has {there} {device}s; ask for as many or fewer"
                )
            ray.data.DataContext.get_current().enable_progress_bars = False
            logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells of its plans on the terminal
            sent = ray.data.from_items(list(map(as_row, studies)), override_num_blocks=ceil(len(studies) / AT_ONCE))
            scored = sent.map_batches(
                Actor,
                fn_constructor_args=(job, store, readers, timeout),
                batch_size=None,
                compute=ray.data.ActorPoolStrategy(size=actors),
                num_gpus=1 if device == "GPU" else 0,
            )
            for row in scored.iter_rows():
                yield Outcome(str(row["name"]), str(row["status"]), str(row["why"]), float(row["seconds"]))

    return engine


def as_row(study: StudyFolder) -> dict[str, Any]:
    """Return a study as a row of a Ray data set; a path need not be text, and a key no plain path."""
    folder = study.folder if study.place else study.folder.absolute()
    bucket, key = (study.place.bucket, study.place.key) if study.place else ("", "")
    return dict(zip(COLUMNS, (study.name, os.fsencode(folder), bucket, key, study.is_object), strict=True))


def sent_study(name: str, folder: bytes, bucket: str, key: str, is_object: bool) -> StudyFolder:
    """Return the study of a row."""
    place = ObjectPath(str(bucket), str(key)) if bucket else None
    return StudyFolder(str(name), Path(os.fsdecode(folder)), place, bool(is_object))
