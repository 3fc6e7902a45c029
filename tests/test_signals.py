"""Signals, sent to real processes."""

import signal
import subprocess
import sys
import time

import pytest

from i2m2_med.signals import EXIT, STOPPED

START = """
import hashlib, sys, time
from i2m2_med.cli import main
from i2m2_med import cli
from i2m2_med.signals import ends_within

def deaf():  # a computation in C, which Python's own handlers have to wait for
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)

def work(_):
    with ends_within(0.5):
        print("ready", flush=True)
        {work}
    return {{}}

cli.call = work
code = main(["score"])
{after}
sys.exit(code)
"""


AS_IN_A_TERMINAL = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
"""
"""Whoever runs the tests in the background, or by `nohup`, hands on that signals are ignored."""


def stop(work: str, number: int, after: str = "", before: str = AS_IN_A_TERMINAL) -> tuple[int, str, float]:
    """Start, send the signal once it is ready; exit code, standard error, and seconds until the end."""
    command = [sys.executable, "-W", "ignore", "-c", before + START.format(work=work, after=after)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(number)
    began = time.monotonic()
    _, error = process.communicate(timeout=60)
    return process.returncode, error, time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("work", ["time.sleep(60)", "deaf()"])
def test_a_signal_ends_the_work_in_one_line(work: str, number: int) -> None:
    code, error, seconds = stop(work, number)
    assert (code, error) == (EXIT, f"{STOPPED}\n")
    assert seconds < 8  # two on a machine that does nothing else


def test_what_was_to_be_ignored_is_ignored() -> None:
    """As `nohup` has it."""
    before = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    code, error, _ = stop("time.sleep(2)", signal.SIGHUP, before=before)
    assert (code, error) == (0, "")


def test_afterwards_signals_mean_what_they_meant() -> None:
    after = "import signal; assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL; assert signal.set_wakeup_fd(-1) == -1"
    assert stop("pass", signal.SIGCONT, after=after)[0] == 0
