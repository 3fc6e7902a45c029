"""Memory: what this machine or its container gives, what this process took, and a limit on what it may take from here on (Linux only)."""

import errno
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from i2m2_med.errors import UserError, causes

WORDS = re.compile("can't allocate memory|Cannot allocate memory|bad_alloc|not enough memory", re.IGNORECASE)
UNMADE = re.compile("could not (create|execute) a (primitive|memory)")
"""What oneDNN says of memory, and of operations that it does not know."""


def limit_memory(more: int) -> int | None:
    """Let this process take `more` bytes beside what it has; asking for more fails at once. Returns the limit before, where there is one."""
    if sys.platform != "linux":
        return None
    import resource

    import psutil

    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [psutil.Process().memory_info().data + more, *(one for one in (before, hard) if one >= 0)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    return before


@contextmanager
def memory_within(more: int) -> Generator[None]:
    """Limit memory while it is entered: what asks for more gets MemoryError, or torch's RuntimeError."""
    before = limit_memory(more)
    try:
        yield
    finally:
        if before is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (before, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def machine_memory(cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Return the bytes of memory that the machine has, or those that a control group allows this process where they are fewer.

    Version 2 has `memory.max`, version 1 `memory.limit_in_bytes`; a limit of a group above counts too.
    """
    import psutil

    limits = [psutil.virtual_memory().total]
    lines = own.read_text(encoding="utf-8").splitlines() if own.is_file() else []
    for _, controllers, group in (line.split(":", 2) for line in lines):
        home, name = (cgroups / "memory", "memory.limit_in_bytes") if controllers else (cgroups, "memory.max")
        if controllers and "memory" not in controllers.split(","):
            continue
        place = home / group.lstrip("/")
        for folder in (place, *(above for above in place.parents if above.is_relative_to(home))):
            said = (folder / name).read_text(encoding="utf-8").strip() if (folder / name).is_file() else ""
            limits += [int(said)] if said.isdigit() else []
    return min(limits)


def peak_memory() -> int:
    """Return the most bytes that this process held at once so far."""
    status = Path("/proc/self/status")
    if status.is_file():  # `ru_maxrss` begins with what the process that started this one held
        held = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(held.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: Python and NumPy raise MemoryError, torch its own or a RuntimeError, oneDNN one that names what it could not make."""
    for cause in causes(error):
        if isinstance(cause, MemoryError) or type(cause).__name__ == "OutOfMemoryError":
            return True
        if isinstance(cause, OSError) and cause.errno == errno.ENOMEM:
            return True
        if isinstance(cause, RuntimeError) and WORDS.search(str(cause)):
            return True
        if isinstance(cause, RuntimeError) and UNMADE.search(str(cause)) and limited():
            return True
    return False


def limited() -> bool:
    """Whether this account's processes may only take so much address space (`ulimit -v`): then that is what ran out."""
    if sys.platform == "win32":
        return False
    import resource

    return any(
        resource.getrlimit(kind)[0] != resource.RLIM_INFINITY for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    )


def plain_memory_error(error: BaseException) -> UserError | None:
    """Return the user's error where memory ran out; None for any other error."""
    if not out_of_memory(error):
        return None
    return UserError(
        "out of memory, or of what `ulimit -v` allows: give it more, or less at a time (training.batch, training.accumulate, "
        "training.workers, OMP_NUM_THREADS); `i2m2 plan` says what training takes"
    )
