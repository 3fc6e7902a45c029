"""A mark inside .npy files of simulated arrays, which have no room for words: it goes with a file wherever it is copied."""

import os
from pathlib import Path

MADE_UP = b"\ni2m2: simulated\n"


def mark_simulated(path: Path) -> None:
    """Write behind an array, where no reader of .npy files looks, that it is simulated."""
    with path.open("ab") as file:
        file.write(MADE_UP)


def is_simulated(path: Path) -> bool:
    """Whether an array's file says of itself that it is simulated."""
    with path.open("rb") as file:
        file.seek(-min(len(MADE_UP), path.stat().st_size), os.SEEK_END)
        return file.read() == MADE_UP
