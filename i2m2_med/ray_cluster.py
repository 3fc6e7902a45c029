"""A Ray cluster to work on: the one that $RAY_ADDRESS names, or a small one on this machine that ends with the work."""

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from i2m2_med.errors import UserError, extra_hint


@contextmanager
def ray_cluster() -> Generator[Any]:
    """Yield the module `ray`, connected. Raises UserError where Ray is not installed.

    Without $RAY_ADDRESS no cluster is looked for: Ray would wait for ever for one that was killed here and left its address behind.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError(f"--engine ray needs Ray: {extra_hint('ray')}") from error
    if ray.is_initialized():
        yield ray
        return
    address = os.environ.get("RAY_ADDRESS") or "local"
    ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield ray
    finally:
        ray.shutdown()
