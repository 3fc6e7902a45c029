"""The lock on an output folder: one scorer alone writes there, or the N parts of a shared run, each once."""

import hashlib
import shutil
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from i2m2_med.disk_errors import writing
from i2m2_med.errors import UserError
from i2m2_med.files import exclusive, private
from i2m2_med.scoring.results import ResultStore, ensure_out
from i2m2_med.scoring.studies import StudyFolder

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
        """Return whether nobody shares the work."""
        return self.count == 1

    @property
    def name(self) -> str:
        """Return the name of its private folder."""
        return "whole" if self.whole else f"part-{self.index}-of-{self.count}"

    def of(self, studies: Sequence[StudyFolder]) -> list[StudyFolder]:
        """Return the studies of this part: by a hash of their names, so that a study that comes later moves no other."""
        return [study for study in studies if hash_number(study.name) % self.count == self.index]


def hash_number(name: str) -> int:
    """Return a number of 64 bits that depends on a study's name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


@contextmanager
def lock_output(out: Path, part: Part) -> Generator[ResultStore]:
    """Lock the output folder for this part and yield its result store. Raises UserError where another scorer works there."""
    inside = out / PRIVATE
    own = inside / part.name
    with private(), writing(out), ExitStack() as held:
        ensure_out(out)
        with exclusive(inside / "lock"):  # held while a scorer looks who else is there
            for other in rivals(inside, part):
                with exclusive(other, in_use(out)):
                    pass
            held.enter_context(exclusive(inside / f"{part.name}.lock", in_use(out)))
        (inside / f"{part.name}.lock").touch()  # `merge` goes by the latest
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir()
        try:
            yield ResultStore(out, own)
        finally:
            shutil.rmtree(own, ignore_errors=True)


def rivals(inside: Path, part: Part) -> list[Path]:
    """Return the locks that must be free for this part: those of all parts for the whole, that of the whole for a part."""
    return sorted(inside.glob("part-*.lock")) if part.whole else [inside / "whole.lock"]


def in_use(out: Path) -> UserError:
    """Return the error for a folder that another scorer writes to."""
    return UserError(
        f"{out} is in use by another scorer; wait for it, name another folder,"
        " or share the work: --num-parts N --part-id i"
    )
