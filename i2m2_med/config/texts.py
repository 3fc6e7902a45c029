"""Limits of a config's texts: short, and without signs that no terminal, table or figure should be sent."""

from collections.abc import Iterable, Iterator
from typing import Any

from i2m2_med.console import plain

LONGEST_TEXT = 1_000
LONGEST_NAME = 200
"""Characters of a text; of a name, and of what figures and tables are headed with."""

HEADINGS = (("task",), ("tracking", "experiment"))

UNNAMED = set("$\\\n\r\t")
"""Signs that a figure's text (`$\\foo$` is mathematics to matplotlib), a table's row or a path would take for something else."""


def unplain(leaves: Iterable[tuple[tuple[str | int, ...], Any]]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the mistakes in texts and names, each with its key."""
    for key, value in leaves:
        names = [*map(str, key), *([value] if key in HEADINGS and isinstance(value, str) else [])]
        if any(len(name) > LONGEST_NAME or plain(name) != name or UNNAMED & set(name) for name in names):
            yield key, f"a name has at most {LONGEST_NAME} letters, and no $, backslash, line end or control sign"
        elif isinstance(value, str) and (len(value) > LONGEST_TEXT or plain(value) != value):
            yield key, f"a text has at most {LONGEST_TEXT:,} letters, and no control sign"
