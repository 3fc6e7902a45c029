"""A verb in several processes of this machine, by torch's own launcher (what `torchrun` is): progress of the first, one line when one ends."""

import io
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from i2m2_med.console import Terminal, complain
from i2m2_med.cores import usable_cores
from i2m2_med.engine.prediction.seed import best_device
from i2m2_med.engine.prediction.torchrun import started
from i2m2_med.engine.training.processes import PEER_ENDED
from i2m2_med.errors import UserError
from i2m2_med.forkserver import how_ended
from i2m2_med.signals import EXIT

BUG = 3
"""The exit code of a bug."""


def launch(arguments: Sequence[str], n_processes: int) -> dict[str, Any]:
    """Run `i2m2 ARGUMENTS` in processes that know of each other and return what the first returns, or {"error", "exit"}."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // n_processes)))
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # it is said in one line here
    with tempfile.TemporaryDirectory(prefix="i2m2-") as folder:
        silent = dict.fromkeys(range(1, n_processes), Std.ALL)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=n_processes,
            run_id="i2m2",
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            monitor_interval=0.2,
            logs_specs=DefaultLogsSpecs(log_dir=f"{folder}/logs", redirects=silent),
        )
        try:
            done = elastic_launch(config, work)(list(arguments), Terminal.quiet, sys.stdout is sys.stderr, folder)
        except SignalException as error:
            raise KeyboardInterrupt from error
        except ChildFailedError as error:
            return explain(error, Path(folder), n_processes)
    return done[0] or {}


def work(arguments: list[str], quiet: bool, as_json: bool, folder: str) -> dict[str, Any]:
    """Run a verb in one of the processes; what went wrong is left in `folder` for the one that started them."""
    from i2m2_med import cli
    from i2m2_med.files import private
    from i2m2_med.signals import stoppable

    Terminal.quiet = quiet
    try:
        with private(), stoppable(), redirect_stdout(sys.stderr if as_json else sys.stdout):
            result = cli.call(arguments)
    except KeyboardInterrupt:
        sys.exit(EXIT)
    except Exception as error:
        with redirect_stderr(io.StringIO()) as said:
            code, _ = cli.explain(error)
        (Path(folder) / os.environ["RANK"]).write_text(said.getvalue(), encoding="utf-8")
        sys.exit(code)
    return result if isinstance(result, dict) else {}


def explain(error: ChildFailedError, folder: Path, n_processes: int) -> dict[str, Any]:
    """Say why the first process ended that did not end because another had; all have been ended."""
    said = [file.read_text(encoding="utf-8").strip() for file in sorted(folder.glob("[0-9]*"))]
    own = [text for text in said if PEER_ENDED not in text]
    rank, first = error.get_first_failure()
    if own:
        why, code = own[0], BUG if "Traceback" in own[0] else 1
    else:
        how = f"process {rank} of {n_processes} was {how_ended(first.exitcode)}"
        why = f"{how}, and the others were ended: go on with --resume"
        code = EXIT
    complain(why)
    return {"error": why, "exit": code}


MOST_PER_CORE = 8
"""Processes of one training: each holds torch, MONAI and the model, and more than one on a core only wait for each other."""


def check_count(gpus: int | None, processes: int | None) -> int:
    """Return how many processes are asked for, 1 where none are. Raises UserError where they can't be had."""
    import torch

    asked = gpus if gpus is not None else processes if processes is not None else 1
    if gpus is not None and processes is not None:
        raise UserError("--gpus and --processes are two ways to say how many; keep one")
    if asked < 1:
        raise UserError(f"{asked} processes can't train; ask for 1 or more")
    if started() > 1:
        raise UserError(f"torchrun started {started()} processes already: leave --gpus and --processes out")
    if gpus is None and asked > (most := MOST_PER_CORE * usable_cores()):
        raise UserError(f"--processes {asked}: this machine has {usable_cores()} cores for them; take up to {most}")
    if gpus is not None and (there := torch.cuda.device_count() if best_device() == "cuda" else 0) < gpus:
        raise UserError(f"--gpus {gpus}: this machine has {there}; take --processes {gpus} to train on CPUs")
    return asked
