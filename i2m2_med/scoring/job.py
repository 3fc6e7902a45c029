"""The settings of a scoring run, sent to every process of it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from i2m2_med import __version__
from i2m2_med.object_store import ObjectPath

MODEL_FILES = ("calibration.json", "config.yaml", "model.json", "state.json", "weights.safetensors")
"""The files that decide what a model predicts."""


@dataclass(frozen=True)
class Job:
    """Values only: it travels to other processes and machines."""

    model: Path
    """The model folder."""
    name: str
    """The value of the column `model`: run id, registered name and version, or hash of the model folder."""
    sha: str
    """Of the model folder (`model_hash`)."""
    out: Path | ObjectPath
    device: str = "cpu"
    threads: int = 1
    """Of one network; the same number gives the same bits."""
    backend: str = "torch"
    budget: float | None = None
    """The share of patients whose decision may be another one for stopping early; None: every expert is asked."""
    together: int = 1
    """Small studies that are predicted in one forward pass; with more than one, last digits depend on who shares it."""
    fetched_from: ObjectPath | None = None
    """Where a node that lacks the model folder fetches it."""
    extras: tuple[str, ...] = ()
    """Files written beside the rows: `saliency`, `picture`, `magnitude`, `dicom`."""

    def key(self, content: str) -> str:
        """Return the key of a finished result: same study content, same model, same program."""
        facts = [content, self.name, self.sha, self.backend, *self.extras, __version__]
        facts += [] if self.budget is None else [f"budget {self.budget}"]
        return hashlib.sha256("|".join(facts).encode()).hexdigest()


def model_hash(folder: Path) -> str:
    """Return the SHA-256 over the files that decide what a model predicts, and over nothing else in its folder."""
    whole = hashlib.sha256()
    for name in MODEL_FILES:
        with (folder / name).open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
