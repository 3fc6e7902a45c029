"""Small trainings that a test runs in one process and, by torchrun, in several: `python -m torch.distributed.run … sharded.py FOLDER`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.training import Training
from i2m2_med.engine.prediction.seed import seed_for
from i2m2_med.engine.training.fit import fit
from i2m2_med.engine.training.loss import Objective
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

STEPS = 50
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropped": {"modality_dropout": 0.6, "batch": 4, "epochs": 2},
    "weighted": {"class_weights": True, "clip": 0.5, "mode": "joint+aux"},
    "experts": {
        "parallel": "experts",
        "clip": 0.5,
        "modality_dropout": 0.3,
        "class_weights": True,
        "mode": "joint+aux",
    },
    "modulated": {"loss": {"_target_": "torch.nn.CrossEntropyLoss", "label_smoothing": 0.1}, "mode": "ogm-ge"},
}
"""By name, what differs from batches of 16 of 157 samples (the last has 13) for 5 epochs of 10 steps. `dropped`: batches of 4, of
which shards often have nobody for an expert, and the last, of 1, gives two of three processes nothing at all."""
MESH: dict[str, dict[str, Any]] = {
    "mesh": {**SETTINGS["experts"], "experts": ("a", "c", "joint")},
    "frugal mesh": {"parallel": "experts", "memory": "one_expert", "experts": ("a", "b")},
    "dropped mesh": {**SETTINGS["dropped"], "parallel": "experts", "experts": ("a", "b", "joint")},
}
"""What four processes share, two by two."""
LEARN = {"batch": 16, "epochs": 5, "learning_rate": 1e-3}


class Images(nn.Module):
    """A small convolutional network with batch norms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(channels, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
            nn.Flatten(), nn.Linear(24, 6),
        )  # fmt: skip

    def forward(self, *pictures: Tensor) -> Tensor:
        """(batch, 1, 7, 7) each → (batch, 6)."""
        return self.net(torch.cat(pictures, dim=1))


class Numbers(nn.Linear):
    """A layer that adds a loss of its own while it is trained."""

    def forward(self, input: Tensor) -> Any:
        """(batch, 5) → (batch, 6)."""
        logits = super().forward(input)
        return (logits, 0.1 * logits.square().mean()) if self.training else logits


def samples(n: int, seed: int) -> Samples:
    """Pictures a and b and numbers c; b is missing in every fifth row, c in two of three; two labels of three classes, often unknown."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, (n, 2))
    a = (rng.normal(size=(n, 1, 7, 7)) + label[:, :1, None, None]).astype(np.float32)
    b = (rng.normal(size=(n, 1, 7, 7)) + label[:, 1:, None, None]).astype(np.float32)
    c = rng.normal(size=(n, 5)).astype(np.float32)
    c[::3] = c[1::3] = np.nan
    known = np.where(rng.random((n, 2)) < 0.4, -1, label)
    records = pl.DataFrame({"label_one": known[:, 0], "label_two": known[:, 1]})
    pictures = {row: b[row] for row in range(n) if row % 5}
    records = records.with_columns(row=pl.arange(n, eager=True))

    def read(record: dict[str, Any]) -> dict[str, Tensor]:
        """b as a transform reads it: where no sample of a batch has it, its shape is not known either."""
        found = pictures.get(record["row"])
        return {} if found is None else {"b": torch.from_numpy(found)}

    return Samples(records, Labels(("one", "two"), ("0", "1", "2")), ["a", "b", "c"], {"a": a, "c": c}, transform=read)


def model(experts: Sequence[str] = ("a", "b", "c", "joint")) -> I2M2:
    """Four experts, three of them with batch norms and one with a loss of its own, or some of these."""
    torch.manual_seed(seed_for("sharded"))
    networks = {"a": Images(1), "b": Images(1), "c": Numbers(5, 6), "joint": Images(2)}
    reads = {"a": ("a",), "b": ("b",), "c": ("c",), "joint": ("a", "b")}
    return I2M2({name: networks[name] for name in experts}, reads, ProductOfExperts(), (2, 3))


def trained(folder: Path, **settings: Any) -> tuple[I2M2, list[float], list[dict[str, float]]]:
    """The model after training, the loss of each step, and the metrics of each epoch."""
    losses: list[float] = []

    def note(module: nn.Module, _: Any, loss: Any) -> None:
        if isinstance(module, Objective):
            losses.append(float(loss.detach()))

    made = model(settings.pop("experts", ("a", "b", "c", "joint")))
    training = Training.model_validate({**LEARN, **settings})
    hook = nn.modules.module.register_module_forward_hook(note)
    try:
        history = fit(
            made, samples(157, 0), samples(50, 1), training, seed=3, folder=folder, device="cpu", watch=lambda *_: None
        ).history
    finally:
        hook.remove()
    return made, losses, history


def main(folder: Path, *names: str) -> None:
    """Run every training of `SETTINGS`, or those named of it or of `MESH`; process 0 writes what came out."""
    from i2m2_med.engine.training.processes import joined, leads

    with joined("cpu"):
        for name in names or SETTINGS:
            settings = {**SETTINGS, **MESH}[name]
            made, losses, history = trained(folder / name, **settings)
            if leads():
                weights = {key: tensor.double().flatten().tolist() for key, tensor in made.state_dict().items()}
                content = {"losses": losses, "history": history, "weights": weights}
                (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
