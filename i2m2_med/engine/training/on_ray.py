"""Trainings of a comparison on a Ray cluster: each paradigm with each seed is a task.

Workspace, data and store lie where every node sees them under the same path or address.
"""

import logging
from collections.abc import Sequence
from typing import Any

from i2m2_med.console import Progress
from i2m2_med.engine.training.side_by_side import Assignment, Unit, left_out
from i2m2_med.errors import UserError, causes, extra_hint


def train_on_ray(assignment: Assignment, waiting: Sequence[Unit], jobs: int, progress: Progress) -> None:
    """Train units on the cluster of $RAY_ADDRESS or, where there is none, on this machine; at most `jobs` of them at a time.

    One that fails stops no other: those that fail are named at the end. Raises UserError then, or where Ray is absent.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError(f"--engine ray needs Ray: {extra_hint('ray')}") from error
    ours = not ray.is_initialized()
    if ours:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0
        task: Any = ray.remote(num_gpus=gpus, num_cpus=1, max_retries=1)(train_unit)
        left, running, failed = list(waiting), dict[Any, Unit](), list[str]()
        with progress.bar("trainings", len(left)) as advance:
            while left or running:
                while left and len(running) < jobs:
                    unit = left.pop(0)
                    running[task.remote(assignment, unit)] = unit
                for done in ray.wait(list(running))[0]:
                    unit = running.pop(done)
                    failed += outcome(ray, done, unit)
                    advance(f"{unit[0]}, seed {unit[1]}")
        left_out(failed)
    finally:
        if ours:
            ray.shutdown()


def outcome(ray: Any, done: Any, unit: Unit) -> list[str]:
    """Return what was wrong with a task, in a line; nothing where it trained. Raises the error of a bug."""
    try:
        ray.get(done)
    except ray.exceptions.RayError as error:
        mistake = next((cause for cause in causes(error) if isinstance(cause, UserError)), None)
        if mistake is None and isinstance(error, ray.exceptions.RayTaskError):
            raise
        return [f"{unit[0]}, seed {unit[1]}: {mistake or 'its worker died, and so did the next one'}"]
    return []


def train_unit(assignment: Assignment, unit: Unit) -> None:
    """Train one unit in a worker of the cluster."""
    assignment.train(unit, Progress())
