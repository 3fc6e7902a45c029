"""Studies, models and results in an object store: a study is fetched when its turn comes, a result is written as one object.

A fetched study lies in a private temporary folder for as long as it is read. The output folder is held by a lease, an object that
its scorer renews: whoever comes while it is fresh is refused, and one that was killed is followed after `LEASE` seconds.
"""

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from i2m2_med.errors import ModelError, SourceError, UserError
from i2m2_med.files import private
from i2m2_med.object_store import (
    ObjectPath,
    client,
    delete,
    entries,
    entry_of,
    failures,
    fetch,
    fetch_file,
    get,
    put,
    put_file,
    told,
)
from i2m2_med.scoring.job import Job, model_hash
from i2m2_med.scoring.results import ResultStore
from i2m2_med.scoring.study_checks import MAX_FILE, MAX_FILES
from i2m2_med.scoring.study_names import StudyFolder

MAX_STUDY = 64 * 2**30
"""Bytes of a study's files together."""
MAX_MODEL_FILES = 1000
MAX_RESULT = 256 * 2**20
IN_BUNDLE = "models/i2m2"
LEASE = 120.0
"""Seconds without renewal after which the lease of a killed scorer is void."""
AT_ONCE = 16
"""Results that are read at a time."""


@contextmanager
def fetched(study: StudyFolder, room: "Callable[[], TemporaryDirectory[str]]") -> Generator[StudyFolder]:
    """Yield a study as one on this disk, for as long as it is read; one that lies there is yielded as it is.

    room: makes the folder that it is fetched into. Raises SourceError for one that is larger than a study may be, or whose keys
    can't be files.
    """
    if study.place is None:
        yield study
        return
    with private(), room() as place:
        here = Path(place) / study.folder
        if study.is_object:
            found = entry_of(study.place)
            if found.size > MAX_FILE:
                raise SourceError(
                    f"the object has {found.size / 2**30:.1f} GiB; a file may have {MAX_FILE / 2**30:.0f}"
                )
            fetch_file(study.place, here, found.size, found.etag)
        else:
            here.mkdir()
            fetch(study.place, here, most=MAX_FILES, largest=MAX_FILE, total=MAX_STUDY)
        yield replace(study, folder=here)


def fetch_model(place: ObjectPath, folder: Path) -> Path:
    """Fetch a model folder, or the one in an exported bundle, into `folder`; return where it is."""
    there = [one.name for one in entries(place, MAX_MODEL_FILES)]
    inside = place / IN_BUNDLE if IN_BUNDLE.partition("/")[0] in there else place
    with private():
        fetch(inside, folder, most=MAX_MODEL_FILES, largest=MAX_STUDY, total=MAX_STUDY)
    return folder


@contextmanager
def on_this_node(job: Job) -> Generator[Job]:
    """Yield a job whose model lies on this node. Raises ModelError where the store has another model by now."""
    if job.fetched_from is None or job.model.is_dir():
        yield job
        return
    with TemporaryDirectory() as room:
        model = fetch_model(job.fetched_from, Path(room))
        if model_hash(model) != job.sha:
            raise ModelError(f"{job.fetched_from} is another model than it was when the run began; start the run again")
        yield replace(job, model=model)


@dataclass(frozen=True)
class RemoteResults(ResultStore):
    """The results of a run's studies, in a folder of an object store. `out` and `private` are the scorer's temporary folder."""

    place: ObjectPath = field(kw_only=True)
    began: datetime = field(kw_only=True)
    """When the lease was taken, by the store's clock."""

    def shown(self, name: str) -> str:
        """As in ResultStore."""
        return str(self.place / name)

    def room(self) -> "TemporaryDirectory[str]":
        """As in ResultStore; on another node there is no folder of the scorer's."""
        return TemporaryDirectory(dir=self.private if self.private.is_dir() else None)

    def write(self, name: str, text: str) -> None:
        """As in ResultStore."""
        put(self.place / name, text.encode("utf-8", "backslashreplace"))

    def load(self, name: str) -> bytes:
        """As in ResultStore."""
        content = get(self.place / name, MAX_RESULT)
        if content is None:
            raise FileNotFoundError(name)
        return content

    def publish(self, file: Path, name: str) -> None:
        """As in ResultStore."""
        put_file(self.place / name, file)

    def publish_folder(self, folder: Path, name: str) -> None:
        """As in ResultStore, file by file: those of an earlier scoring under other names are deleted first."""
        for old in entries(self.place / name, MAX_FILES, deep=True):
            delete(self.place / name / old.name)
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            put_file(self.place / name / file.relative_to(folder).as_posix(), file)

    def remove(self, name: str) -> None:
        """As in ResultStore."""
        delete(self.place / name)

    def made_by_this_run(self, name: str) -> bool:
        """As in ResultStore, by the store's clock."""
        place = self.place / self.result_name(name)
        with told(place):
            made = client().head_object(Bucket=place.bucket, Key=place.key)["LastModified"]
        return made >= self.began

    def read_all(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """As in ResultStore, `AT_ONCE` at a time: each takes a round trip."""
        with ThreadPoolExecutor(AT_ONCE) as readers:
            for start in range(0, len(names), 64 * AT_ONCE):
                yield from readers.map(self.read, names[start : start + 64 * AT_ONCE])


@contextmanager
def lease_output(out: ObjectPath) -> Generator[RemoteResults]:
    """Hold the output folder by a lease and yield its result store. Raises UserError where another scorer has it."""
    lease = Lease(out / ".score/whole.lock")
    with private(), TemporaryDirectory(prefix="i2m2-score-") as room:
        began = lease.take()
        renewing = threading.Thread(target=lease.renew, daemon=True)
        renewing.start()
        try:
            yield RemoteResults(Path(room), Path(room), place=out, began=began)
            if lease.lost:
                raise UserError(
                    f"{out} was taken by another scorer, since this one stood still for {LEASE:.0f} s; start it again"
                )
        finally:
            lease.ended.set()
            renewing.join()
            if not lease.lost:
                delete(lease.place)


class Lease:
    """An object that one scorer alone writes, and writes again before it is `LEASE` seconds old."""

    def __init__(self, place: ObjectPath) -> None:
        self.place = place
        self.etag = ""
        self.ended = threading.Event()
        self.lost = False

    def take(self) -> datetime:
        """Take it where it is free or void, and return when. Raises UserError where another scorer holds it."""
        of_aws = failures()
        at = {"Bucket": self.place.bucket, "Key": self.place.key}
        with told(self.place):
            try:
                self.write(IfNoneMatch="*")
            except of_aws.ClientError as error:
                if not is_taken(error):
                    raise
                found = client().head_object(**at)
                age = parsedate_to_datetime(found["ResponseMetadata"]["HTTPHeaders"]["date"]) - found["LastModified"]
                if age.total_seconds() < LEASE:
                    raise UserError(
                        f"{self.place} is held by another scorer; wait for it, or {LEASE:.0f} s where that one was killed, or name another folder"
                    ) from None
                self.write(IfMatch=found["ETag"])
            return client().head_object(**at)["LastModified"]

    def write(self, **condition: str) -> None:
        """Write the object, if the condition holds."""
        body = uuid4().hex.encode()
        self.etag = client().put_object(Bucket=self.place.bucket, Key=self.place.key, Body=body, **condition)["ETag"]

    def renew(self) -> None:
        """Write it again and again until the run has ended; note where another scorer has taken it."""
        of_aws = failures()
        while not self.ended.wait(LEASE / 4):
            try:
                self.write(IfMatch=self.etag)
            except of_aws.ClientError as error:
                self.lost = is_taken(error)
                if self.lost:
                    return
            except of_aws.BotoCoreError:
                continue  # out of reach for a while: the lease lasts for three more tries


def is_taken(error: Any) -> bool:
    """Return whether a conditional write failed for its condition."""
    return error.response.get("Error", {}).get("Code") in (
        "PreconditionFailed",
        "ConditionalRequestConflict",
        "412",
        "404",
        "NoSuchKey",
    )
