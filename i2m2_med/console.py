"""The terminal: messages and progress on standard error, results on standard output (`--json`: on standard error too)."""

import os
import re
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")
Advance = Callable[[str], None]


class Terminal:
    """What the user wants to see."""

    quiet = False
    """`--quiet`: results and errors only."""


UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Signs that are not sent to a terminal: control signs and escape codes, those that turn or hide text, halves of a sign."""


def plain(text: str) -> str:
    """Return a text with everything that a terminal would obey instead of show written out.

    >>> plain("scan\x1b[2J\ud800")
    'scan\\\\x1b[2J\\\\ud800'
    """
    return UNSHOWN.sub(lambda sign: sign[0].encode("unicode_escape", "backslashreplace").decode(), text)


def say(message: str) -> None:
    """Print a line for a person, on standard error, unless `--quiet` was asked for."""
    if not Terminal.quiet:
        complain(message)


def complain(message: str) -> None:
    """Print an error for a person, on standard error, whatever was asked for."""
    print(plain(message), file=sys.stderr, flush=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a result as a table; every cell stands there as it is: rich would take `[coil,]` and `:a:` for its own signs."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    drawn = Table(*(Column(Text(plain(name)), overflow="fold") for name in columns))  # nothing is cut off
    for row in rows:
        drawn.add_row(*(Text(plain(str(cell))) for cell in row))
    print(f"\n{plain(title)}")
    Console(width=terminal_width()).print(drawn)


def terminal_width() -> int:
    """Return $COLUMNS, else the columns of the terminal that any standard stream is, also where results go into a pipe, else 160."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    for stream in (1, 2, 0):
        try:
            return os.get_terminal_size(stream).columns or 160
        except OSError:
            continue
    return 160


def memory_size(n_bytes: float | int) -> str:
    """Return bytes as a person reads them.

    >>> memory_size(1536), memory_size(3 * 2**30)
    ('1.5 KiB', '3.0 GiB')
    """
    for unit in ("B", "KiB", "MiB"):
        if abs(n_bytes) < 1024:
            return f"{n_bytes:.1f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:,.1f} GiB"


def clock_time(seconds: float | int) -> str:
    """Return seconds as a person reads them.

    >>> clock_time(0.0123), clock_time(75), clock_time(7300)
    ('12 ms', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


class Progress:
    """Receives the progress of long work: `for volume in progress.track(volumes, "reading headers")`. This one is silent."""

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:  # noqa: ARG002
        """Pass `items` on."""
        return items

    @contextmanager
    def together(self) -> Generator[None]:
        """Let several bars be open at once."""
        yield

    @contextmanager
    def bar(self, what: str, total: int) -> Generator[Advance]:  # noqa: ARG002
        """Yield what is called once per step with a short text."""
        yield lambda _: None

    def say(self, message: str) -> None:
        """Say nothing."""


class TerminalProgress(Progress):
    """Progress bars on standard error; plain lines where it is not a terminal."""

    def __init__(self) -> None:
        self.bars: Any = None
        """Rich's display, while bars are shown."""

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        """Pass `items` on and show how many are done."""
        if not sys.stderr.isatty() or Terminal.quiet:
            say(f"{what} …")
            yield from items
            return
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import track

        yield from track(items, escape(plain(what)), total, console=Console(stderr=True), transient=True)

    @contextmanager
    def together(self) -> Generator[None]:
        """Let several bars be open at once, one below the other."""
        if self.bars is not None:
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[text]}", markup=False),
        )
        silent = Terminal.quiet or not sys.stderr.isatty()
        self.bars = Bars(*columns, console=Console(stderr=True), transient=True, disable=silent)
        try:
            with self.bars:
                yield
        finally:
            self.bars = None

    @contextmanager
    def bar(self, what: str, total: int) -> Generator[Advance]:
        """A bar that a call moves by one step; where there is no terminal, a line for each step that took a second or more."""
        with self.together():
            bars: Any = self.bars
            step = bars.add_task(plain(what), total=total, text="")
            done, last, shown = [0], list[str](), [monotonic()]

            def advance(text: str) -> None:
                done[0] += 1
                last[:] = [text]
                bars.update(step, advance=1, text=plain(text))
                if not sys.stderr.isatty() and monotonic() - shown[0] >= 1:
                    shown[0] = monotonic()
                    say(f"{what}: {done[0]} of {total}, {text}")

            try:
                yield advance
            finally:
                bars.remove_task(step)
        say(f"{what}: {last[0] if last else 'nothing was left to do'}")

    def say(self, message: str) -> None:
        """One line for a person."""
        say(message)
