"""Processes are forked from a server that has imported what they need and has no threads of its own."""

import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing import forkserver, resource_tracker
from typing import Any


def start_server(modules: Sequence[str]) -> Any:
    """Return the context in which processes start: safe beside threads, and quick.

    The server starts now and imports `modules` while the caller does something else; it skips a name that it can't import, without
    a word. Its processes hear no Ctrl-C.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    resource_tracker.ensure_running()  # now: it unblocks SIGINT when it has started, and the server would start with it unblocked
    # Ctrl-C goes to the whole group: the command ends its processes itself, and theirs would be tracebacks after its last line
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context
