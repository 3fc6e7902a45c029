"""Who may write to an output folder: one scorer alone, or the N parts of a shared run, each once."""

import fcntl
import hashlib
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from i2m2_med.errors import UserError
from i2m2_med.files import plain_disk_error
from i2m2_med.scoring.results import Shelf, ensure_out
from i2m2_med.scoring.studies import Place

PRIVATE = ".score"


@dataclass(frozen=True)
class Part:
    """Part `index` (from 0) of `count` that share the studies; 0 of 1 is the whole."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise UserError(
                f"--part-id {self.index} of --num-parts {self.count}: parts are numbered 0 to {self.count - 1}"
            )

    @property
    def whole(self) -> bool:
        """Whether nobody shares the work."""
        return self.count == 1

    @property
    def name(self) -> str:
        """What its private folder is called."""
        return "whole" if self.whole else f"part-{self.index}-of-{self.count}"

    def of(self, places: Sequence[Place]) -> list[Place]:
        """The studies of this part: by a hash of their names, so that a study that comes later moves no other."""
        return [place for place in places if share(place.name) % self.count == self.index]


def share(name: str) -> int:
    """A number that a study's name always has."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


@contextmanager
def hold(out: Path, part: Part) -> Generator[Shelf]:
    """Hold the output folder for this part until the process ends; raises UserError where another scorer holds it."""
    private = ensure_out(out) / PRIVATE
    mine = private / part.name
    try:
        mine.mkdir(parents=True, exist_ok=True)
        with (private / "lock").open("a") as all_of_it, (private / f"{part.name}.lock").open("a") as one:
            lock(all_of_it, out, shared=not part.whole)
            lock(one, out, shared=False)
            shutil.rmtree(mine)
            mine.mkdir()
            yield Shelf(out, mine)
            shutil.rmtree(mine)
    except OSError as error:
        raise plain_disk_error(error, out) from error


def lock(file: IO[str], out: Path, *, shared: bool) -> None:
    """Take a file lock, or say who is in the way."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(
            f"{out} is in use by another scorer; wait for it, name another folder, or share the work: --num-parts N --part-id i"
        ) from error
