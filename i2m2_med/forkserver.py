"""Processes are forked from a server that has imported what they need and has no threads of its own; how they live and end."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
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


def see_one_gpu(index: int) -> None:
    """Let this process see one GPU: those that there are in turn. CUDA has not been started in it yet."""
    import torch

    count = torch.cuda.device_count()
    if count > 1:
        listed = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = listed[index % count]


def end_with_parent(end: Callable[[], None]) -> None:
    """Call `end` once the process that asked for this one is gone, however it ended: nothing goes on that nobody waits for."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        end()

    threading.Thread(target=watch, daemon=True).start()


def how_ended(code: int | None) -> str:
    """Return how a process ended, in words.

    >>> how_ended(-11), how_ended(1)
    ('ended by signal 11 (SIGSEGV)', 'ended by exit code 1')
    """
    if code == -signal.SIGKILL:
        return "killed, most likely for want of memory"
    return "ended by " + (
        f"signal {-code} ({signal.Signals(-code).name})" if code is not None and code < 0 else f"exit code {code}"
    )
