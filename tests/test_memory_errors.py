"""Memory that ran out ends any verb in one line; what only sounds like it does not."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from i2m2_med.memory_limit import limited, out_of_memory

UNMADE = RuntimeError("could not create a primitive")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("std::bad_alloc"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
    ids=str,
)
def test_libraries_say_it_in_their_own_ways(error: Exception) -> None:
    assert out_of_memory(error)
    wrapped = ValueError("wrapped")
    wrapped.__cause__ = error
    assert out_of_memory(wrapped)


@pytest.mark.parametrize(
    "error", [RuntimeError("shape"), ValueError("can't allocate memory"), OSError(errno.ENOSPC, "full")], ids=str
)
def test_other_errors_are_not(error: Exception) -> None:
    assert not out_of_memory(error)


def test_an_operation_that_could_not_be_made_is_one_only_where_memory_is_limited() -> None:
    assert out_of_memory(UNMADE) is limited()


CALL = """
import sys
from i2m2_med import cli
def work(_):
    import numpy
    return numpy.ones(2**40)
cli.call = work
sys.exit(cli.main(["score", "--json"]))
"""


def test_a_verb_ends_in_one_line(work: Path) -> None:
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", CALL], capture_output=True, text=True)
    assert ran.returncode == 1, ran.stderr
    assert ran.stderr.startswith("UserError: out of memory")
    assert ran.stderr.count("\n") == 1
    assert not (work / "logs").exists()
