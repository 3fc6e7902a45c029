"""A limit on the memory that this process may take from here on, as the operating system holds it to (Linux only)."""

import sys
from collections.abc import Generator
from contextlib import contextmanager


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
