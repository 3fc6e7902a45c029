"""What training does about memory: glibc keeps what a batch has freed for the next one."""

import ctypes
import platform
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""`mallopt`'s parameters M_TRIM_THRESHOLD and M_MMAP_THRESHOLD (malloc.h)."""
KEPT = 1 << 30
"""Bytes of freed memory from which on glibc gives some back."""
LARGEST = 1 << 25
"""Bytes of an array that glibc still keeps; it allows no more."""


@cache
def keep_freed_memory() -> None:
    """Ask glibc not to return memory to the kernel after every batch. Elsewhere, and where it was asked before, nothing happens.

    By default each batch of small arrays gets its memory anew: thousands of page faults, 3 to 7 % of an AV-MNIST epoch on a CPU.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(TRIM_THRESHOLD, KEPT)
    libc.mallopt(MMAP_THRESHOLD, LARGEST)
