"""One study from folder to result, in the pieces that a pool of processes shares: read here, judge there."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from i2m2_med.errors import SourceError
from i2m2_med.scoring.answer import Answerer, Asked
from i2m2_med.scoring.extras import Extras
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.reading import Chunk, Reader, Refusal, refusal
from i2m2_med.scoring.results import Shelf
from i2m2_med.scoring.studies import Place


@dataclass(frozen=True)
class Known:
    """The study's content hash; the pieces follow."""

    content: str


@dataclass(frozen=True)
class Same:
    """The study was scored before: same content, same model."""


@dataclass(frozen=True)
class Read:
    """The study is read to its end."""

    seconds: float


Piece = Known | Same | Chunk | Refusal | Read


@dataclass(frozen=True)
class Report:
    """How one study went."""

    name: str
    status: str
    """ok, refused, or same (scored before)."""
    why: str = ""
    seconds: float = 0.0


def examine(reader: Reader, shelf: Shelf, job: Job, place: Place) -> Iterator[Piece]:
    """Look at a study's files, hash them and, unless that was scored before, open it piece by piece."""
    began = time.perf_counter()
    try:
        content = reader.content(place.folder)
    except Exception as error:  # as in `Reader.chunks`: one study must not stop the others
        yield Refusal(refusal(error, place.folder).why, lasting=False)
    else:
        if shelf.key(place.name) == job.key(content):
            yield Same()
            return
        yield Known(content)
        yield from reader.chunks(place.folder)
    yield Read(time.perf_counter() - began)


class Desk:
    """Takes the pieces of one study, asks the model, and puts the result on the shelf."""

    def __init__(self, answerer: Answerer, shelf: Shelf, place: Place) -> None:
        self.answerer, self.shelf, self.place = answerer, shelf, place
        self.asked = Asked()
        self.content = ""
        self.asking = 0.0

    def take(self, pieces: Sequence[Piece]) -> Report | None:
        """Work through some pieces; the study's last one gives the report."""
        for piece in pieces:
            if isinstance(piece, Known):
                self.content = piece.content
            elif isinstance(piece, Same):
                return Report(self.place.name, "same")
            elif isinstance(piece, Read):
                return self.close(piece.seconds)
            else:
                began = time.perf_counter()
                self.answerer.hear(self.asked, piece)
                self.asking += time.perf_counter() - began
        return None

    def close(self, reading: float = 0.0) -> Report:
        """Write what was found."""
        seconds = reading + self.asking
        result = self.answerer.result(self.place.name, self.content, self.asked, seconds)
        if result["status"] == "ok" and self.answerer.job.extras:
            result = self.with_extras(result)
        self.shelf.put(result)
        return Report(self.place.name, result["status"], result["error"], seconds)

    def with_extras(self, result: dict[str, Any]) -> dict[str, Any]:
        """The result, with files beside it; where these can't be made, the warning says why."""
        try:
            Extras(self.answerer.job, self.answerer.predictor).write(self.shelf, self.place, result)
        except SourceError as error:
            said = refusal(error, self.place.folder).why
            return result | {"warning": "; ".join(filter(None, [result["warning"], f"no extras: {said}"]))}
        return result
