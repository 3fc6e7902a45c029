"""Runs that several processes train below: whoever comes first opens one, and all name it as their runs' parent."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from i2m2_med.engine.tracking.run import Tracker
from i2m2_med.engine.training.experiment import Experiment, read_note
from i2m2_med.files import sole_user, write_json


def shared_parent(experiment: Experiment) -> str:
    """Return the run that all parts of a comparison stand below."""
    return opened_once(experiment.folder, experiment.as_parent)


def run_of_folds(experiment: Experiment, paradigm: str, seed: int) -> str:
    """Return the run of a paradigm and seed that those of its folds stand below; they are pooled in it once all are trained."""
    folder = experiment.folder / f"{paradigm}-{seed}"
    return opened_once(folder, lambda: experiment.tracked(paradigm, seed, None))


def opened_once(folder: Path, opens: Callable[[], AbstractContextManager[Tracker]]) -> str:
    """Return the run that a folder's note names; where there is none it is opened, and left until others are done."""
    with sole_user(folder / "opening", lambda: None):
        if not read_note(folder):
            with opens() as tracker:
                tracker.outcome = "SCHEDULED"
                write_json(folder / "note.json", {"run": tracker.run_id})
    return str(read_note(folder)["run"])
