"""Work that several calls share: each does a part of it in one place, each part once, and nobody does the whole meanwhile."""

import hashlib
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from i2m2_med.errors import UserError
from i2m2_med.files import exclusive


@runtime_checkable
class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str:
        """The name."""
        ...


T = TypeVar("T", bound=Named)


@dataclass(frozen=True)
class Part:
    """Part `index` (from 0) of `count` that share the work; 0 of 1 is the whole."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise UserError(
                f"--part-id {self.index} of --num-parts {self.count}: parts are numbered 0 to {self.count - 1}"
            )

    @property
    def whole(self) -> bool:
        """Return whether nobody shares the work."""
        return self.count == 1

    @property
    def name(self) -> str:
        """Return the name of its lock, and of its private folder."""
        return "whole" if self.whole else f"part-{self.index}-of-{self.count}"

    def of(self, studies: Sequence[T]) -> list[T]:
        """Return the studies of this part: by a hash of their names, so that a study that comes later moves no other."""
        return [study for study in studies if hash_number(study.name) % self.count == self.index]


WHOLE = Part()
"""All of the work."""


def hash_number(name: str) -> int:
    """Return a number of 64 bits that depends on a name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


@contextmanager
def hold(place: Path, part: Part, busy: UserError) -> Generator[Path]:
    """Hold a part of the work whose locks lie in the folder `place`, and yield its lock file. Raises `busy` where another process has
    it, or the whole where this is a part, or a part where this is the whole, or a part of another number of parts: they overlap."""
    own = place / f"{part.name}.lock"
    with ExitStack() as held:
        with exclusive(place / "lock"):  # held while a process looks who else is there
            alike = set(place.glob(f"part-*-of-{part.count}.lock"))
            for rival in sorted({*place.glob("part-*.lock"), place / f"{WHOLE.name}.lock"} - alike - {own}):
                with exclusive(rival, busy):
                    pass
            held.enter_context(exclusive(own, busy))
        yield own


def hold_folder(folder: Path, part: Part = WHOLE) -> AbstractContextManager[Path]:
    """Hold a run's folder, or a part of the work in it; the locks lie beside it. Raises UserError where another process does."""
    busy = UserError(f"{folder} is in use by another run; wait for it, or name another folder")
    return hold(folder.with_name(f"{folder.name}.lock"), part, busy)
