"""Services that tests start, ended with all their children, also when the test session itself is killed."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

WHILE_WE_LIVE = """
trap : TERM
exec 3<&0
{ cat <&3 >/dev/null; trap '' TERM; kill -TERM 0; sleep 15; kill -KILL 0; } &
exec 3<&-
"$@" </dev/null
"""
"""Runs a command in a process group of its own. Standard input is a pipe from us: when we are gone, however that came, it ends,
and with it the group. A command of another user's, or one that starts others, ends likewise."""


@contextmanager
def running(
    command: Sequence[str], log: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A service, its output in `log`."""
    with Path(log or os.devnull).open("wb") as file:
        process = subprocess.Popen(
            ["sh", "-c", WHILE_WE_LIVE, "sh", *command],
            stdin=subprocess.PIPE, stdout=file, stderr=file, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
