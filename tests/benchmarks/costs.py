"""Clocks, and scripts in processes of their own."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

PEAK = "int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]) * 1024 / 1e9"
"""An expression: the most gigabytes that a process held. (`getrusage` begins with its parent's.)"""


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of this process and of those that it starts and waits for: what else a machine does changes it least."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    before = [resource.getrusage(each) for each in who]
    work()
    after = [resource.getrusage(each) for each in who]
    return sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(before, after, strict=True))


def wall_seconds(work: Callable[[], object]) -> float:
    """By the clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def apart(script: str, *arguments: object) -> Any:
    """What a Python script prints as its last line, in JSON; run in a process of its own, from the project's root."""
    call = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    said = subprocess.run(call, check=True, capture_output=True, text=True).stdout
    return json.loads(said.splitlines()[-1])
