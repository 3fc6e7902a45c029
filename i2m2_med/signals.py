"""Ctrl-C, and what Slurm, `docker stop` and a closing terminal send: the work at hand is ended in order, and soon."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

from i2m2_med.console import say

STOPPED = "i2m2: stopped; what was done is kept: start it again to go on (`train` and `compare` with --resume)"
EXIT = 130
"""The exit code of a process that was stopped."""
LIKE_CTRL_C = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stoppable() -> Generator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does; one that was to be ignored (`nohup`) still is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in LIKE_CTRL_C}
    try:
        for number, handler in before.items():
            if handler is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Generator[None]:
    """Let no further signal cut short what is being put away: a closing terminal sends two, and people press Ctrl-C again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, *LIKE_CTRL_C)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ends_within(seconds: float) -> Generator[None]:
    """End this process and those it started at most `seconds` after a signal, though it be deep in a computation.

    Python hears of a signal only between two steps of its own, and a network's pass over a large study is one step. So a
    thread listens, too, and ends the process where the orderly end takes too long; only for work that keeps whole files.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, sent = socket.socketpair()
    sent.setblocking(False)
    before = signal.set_wakeup_fd(sent.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=end_after_signal, args=(heard, seconds), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        sent.close()


def end_after_signal(heard: socket.socket, seconds: float) -> None:
    """Wait for a signal's number, then for the orderly end (`heard` is closed); end the process where that does not come."""
    with heard:
        while number := heard.recv(1):
            if number[0] in (signal.SIGINT, *LIKE_CTRL_C):
                break
        else:
            return
        heard.settimeout(seconds)
        try:
            while heard.recv(1):
                pass
        except TimeoutError:
            say(STOPPED)
            end_now()


def end_now() -> None:
    """End this process and those it started, without the seconds that Python takes to put large libraries away."""
    kill_children()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT)


def kill_children(process: int | None = None) -> None:
    """Kill every process that this one (or `process`) has started, and theirs."""
    import psutil

    try:
        children = psutil.Process(process).children(recursive=True)
    except psutil.NoSuchProcess:
        return
    for child in children:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
