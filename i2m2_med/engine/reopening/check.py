"""One line of a verification."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["same", "close", "DIFFERS", "noted", "not checked"]


@dataclass(frozen=True)
class Check:
    """One comparison of a recorded value with the value now, and its verdict."""

    what: str
    recorded: str
    now: str
    verdict: Verdict

    @property
    def failed(self) -> bool:
        """Whether this alone refutes the run."""
        return self.verdict == "DIFFERS"


def alike(what: str, was: str, now: str) -> Check:
    """A check of two digests."""
    return Check(what, was[:12] or "none", now[:12] or "none", "same" if was == now else "DIFFERS")


def names(listed: list[str], most: int = 3) -> str:
    """The first few of a list of names, and how many more."""
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
