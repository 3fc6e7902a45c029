"""Trainings of a comparison on a Ray cluster: each unit is a task.

Workspace, data and store lie where every node sees them under the same path or address.
"""

from collections.abc import Sequence
from typing import Any

from i2m2_med.console import Progress
from i2m2_med.engine.training.units import Assignment, Unit, left_out, waves
from i2m2_med.errors import UserError, causes
from i2m2_med.parts import Part
from i2m2_med.ray_cluster import ray_cluster


def train_on_ray(assignment: Assignment, part: Part, jobs: int, progress: Progress) -> None:
    """Train a part of a comparison on the cluster of $RAY_ADDRESS or, where there is none, on this machine; at most `jobs` at a time.

    One that fails stops no other: those that fail are named at the end. Raises UserError then, or where Ray is absent.
    """
    failed: list[str] = []
    with ray_cluster() as ray:
        for wave in waves(assignment, part):
            failed += train_wave(ray, assignment, wave, jobs, progress)
    left_out(failed)


def train_wave(ray: Any, assignment: Assignment, wave: Sequence[Unit], jobs: int, progress: Progress) -> list[str]:
    """Train units that can be done in any order; return a line on each that failed. Raises the error of a bug when the others are done."""
    if not wave:
        return []
    gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0
    task: Any = ray.remote(num_gpus=gpus, num_cpus=1, max_retries=1)(train_unit)
    left, running, failed = list(wave), dict[Any, Unit](), list[str]()
    bugs: list[Exception] = []
    with progress.bar("trainings", len(left)) as advance:
        while left or running:
            while left and len(running) < jobs:
                unit = left.pop(0)
                running[task.remote(assignment, unit)] = unit
            for done in ray.wait(list(running))[0]:
                unit = running.pop(done)
                failed += outcome(ray, done, unit, bugs)
                advance(unit.name)
    if bugs:
        raise bugs[0]
    return failed


def outcome(ray: Any, done: Any, unit: Unit, bugs: list[Exception]) -> list[str]:
    """Return what was wrong with a task, in a line; nothing where it trained, or met a bug, whose error is put to `bugs`."""
    try:
        ray.get(done)
    except ray.exceptions.RayError as error:
        mistake = next((cause for cause in causes(error) if isinstance(cause, UserError)), None)
        if mistake is None and isinstance(error, ray.exceptions.RayTaskError):
            bugs.append(error)
            return []
        return [f"{unit.name}: {mistake or 'its worker died, and so did the next one'}"]
    return []


def train_unit(assignment: Assignment, unit: Unit) -> None:
    """Train one unit in a worker of the cluster."""
    unit.run(assignment.open(Progress()))
