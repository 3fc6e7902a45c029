"""Worker processes are forked from a server that has imported what they need and has no threads of its own."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

from i2m2_med.engine.prediction.model_files import read_portable

PRELOADED = ("i2m2_med.scoring.workers.readers",)
"""The modules that every worker needs. The server skips a name that it can't import, without a word: then every worker starts slowly."""
MONAI = "monai.transforms"
"""The module that the server imports as well where a model's config names transforms: MONAI takes longer than all the rest."""


def start_method(modules: Sequence[str] = ()) -> Any:
    """Return the context in which worker processes start: safe beside threads, and quick.

    The server starts now and imports while the caller does something else.
    """
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # tables of one study: threads cost more than they bring
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, *modules])
    resource_tracker.ensure_running()  # now: it unblocks SIGINT when it has started, and the server would start with it unblocked
    # Ctrl-C goes to the whole group: the command ends its workers itself, and theirs would be tracebacks after its last line
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def modules_of(model: Path) -> tuple[str, ...]:
    """Return the modules that reading studies for this model needs, beside those that every model needs."""
    return (MONAI,) if read_portable(model / "config.yaml").modalities.transforms else ()
