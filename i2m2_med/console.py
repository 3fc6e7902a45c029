"""What a person sees: messages and progress on standard error, results on standard output."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class Terminal:
    """Where results go: standard output, or standard error while `--json` keeps standard output for its one object."""

    results_to_stderr = False


def say(message: str) -> None:
    """One line for a person, on standard error."""
    print(message, file=sys.stderr, flush=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A result as a table."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*columns, title=title, title_justify="left")
    for row in rows:
        drawn.add_row(*(str(cell) for cell in row))
    stream = sys.stderr if Terminal.results_to_stderr else sys.stdout
    width = None if stream.isatty() else 160
    Console(file=stream, width=width).print(drawn)


class TerminalProgress:
    """Progress bars on standard error; plain lines where it is not a terminal. Same face as `sources.source.Progress`."""

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        """Pass `items` on and show how many are done."""
        if not sys.stderr.isatty():
            say(f"{what} …")
            yield from items
            return
        from rich.console import Console
        from rich.progress import track

        yield from track(items, what, total, console=Console(stderr=True), transient=True)

    def say(self, message: str) -> None:
        """One line for a person."""
        say(message)
