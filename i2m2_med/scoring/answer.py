"""Chunks of one study → its result: one row per item, label and class, with what each expert said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from i2m2_med.engine.prediction.predictor import Predictor, load_model
from i2m2_med.errors import ModelError
from i2m2_med.model import Opinions
from i2m2_med.scoring.calibrated import Judged, judge, judge_whole
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.reading import Chunk, Refusal

LADDER = (1, 10, 60, 600, 3600, 36000)
"""`seconds` is rounded up to one of these, so that scoring again gives the same bytes."""


Backend = Callable[[Chunk], Opinions]
"""Runs a model's experts and combiner on a chunk."""


@dataclass
class Asked:
    """What was said about a study so far."""

    items: list[int] = field(default_factory=list[int])
    patterns: list[str] = field(default_factory=list[str])
    said: list[Opinions] = field(default_factory=list[Opinions])
    warnings: dict[str, None] = field(default_factory=dict[str, None])
    refusal: Refusal | None = None


class Answerer:
    """A model in memory that turns chunks into results."""

    def __init__(self, job: Job) -> None:
        torch.set_num_threads(job.threads)
        self.job = job
        self.predictor: Predictor = load_model(job.model, job.device)
        self.predictor.model.to(self.predictor.device)
        self.check_calibration()
        self.backend: Backend = make_backend(self.predictor, job.backend)

    def check_calibration(self) -> None:
        """Raise ModelError where `calibration.json` (from a stranger, perhaps) does not fit the model."""
        labels, classes = self.predictor.model.shape
        even = np.full((1, labels, classes), 1 / classes)
        try:
            for pattern in ("", *self.predictor.calibration.get("patterns", ())):
                judge(even, even[None], [pattern], self.predictor.calibration)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{self.job.model / 'calibration.json'} does not fit the model") from error

    def hear(self, asked: Asked, piece: Chunk | Refusal) -> None:
        """Ask the model about one more piece of a study."""
        if isinstance(piece, Refusal):
            asked.refusal = piece
            return
        asked.said.append(self.backend(piece))
        asked.items += piece.items
        asked.patterns += patterns(piece)
        asked.warnings |= dict.fromkeys(piece.warnings)

    def result(self, name: str, content: str, asked: Asked, seconds: float) -> dict[str, Any]:
        """What is written as `<study>.json`."""
        head = {
            "study": name,
            "model": self.job.name,
            "config_sha": self.predictor.config_sha,
            "key": self.job.key(content),
            "seconds": next((step for step in LADDER if seconds <= step), LADDER[-1]),
        }
        if asked.refusal is not None or not asked.said:
            refused = asked.refusal or Refusal("the study holds nothing that the model reads")
            key = head["key"] if refused.lasting else ""
            return {**head, "key": key, "status": "refused", "error": refused.why, "warning": "", "rows": []}
        rows = self.rows(asked)
        return {**head, "status": "ok", "error": "", "warning": "; ".join(asked.warnings), "rows": rows}

    def rows(self, asked: Asked) -> list[dict[str, Any]]:
        """Rows per item, then, where the run reports on studies, rows of the study as a whole (item −1)."""
        raw = np.concatenate([probabilities(each.log_probs) for each in asked.said])
        present = torch.cat([each.present for each in asked.said], dim=1).numpy()
        said = np.concatenate([probabilities(each.experts) for each in asked.said], axis=1)
        experts = np.where(present[:, :, None, None], said, np.nan)
        items = judge(raw, experts, asked.patterns, self.predictor.calibration)
        rows = self.table(items, asked.items, asked.patterns)
        how = self.predictor.run.evaluation.volumes
        if how != "none":
            whole = "+".join(sorted({name for pattern in asked.patterns for name in pattern.split("+") if name}))
            rows += self.table(judge_whole(items, how), [-1], [whole])
        return rows

    def table(self, judged: Judged, items: Sequence[int], pattern: Sequence[str]) -> list[dict[str, Any]]:
        """One row per item, label and class."""
        n_items, n_labels, n_classes = judged.p.shape
        each = n_labels * n_classes
        names = self.predictor.model.names
        columns: dict[str, list[Any]] = {
            "item": np.repeat(items, each).tolist(),
            "label": np.repeat(self.predictor.labels.names, n_classes).tolist() * n_items,
            "class": list(range(n_classes)) * (n_items * n_labels),
            "p": judged.p.ravel().tolist(),
            **{f"p_{name}": without_nan(p.ravel()) for name, p in zip(names, judged.experts, strict=True)},
            "pattern": [name for name in pattern for _ in range(each)],
            "uncalibrated": judged.raw.ravel().tolist(),
            "calibrated": np.repeat(judged.calibrated, each).tolist(),
            "set": np.repeat(judged.sets.ravel(), n_classes).tolist(),
            "set_split": np.repeat(judged.split_sets.ravel(), n_classes).tolist(),
            "decision": np.repeat(judged.decision.ravel(), n_classes).tolist(),
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def probabilities(log_probs: Tensor) -> np.ndarray:
    """In float64."""
    return log_probs.double().exp().numpy()


def without_nan(values: np.ndarray) -> list[float | None]:
    """For JSON, which has no NaN."""
    return [None if value != value else value for value in values.tolist()]


def patterns(chunk: Chunk) -> list[str]:
    """Which modalities each item has, '+'-joined in alphabetical order."""
    names = sorted(chunk.present)
    there = zip(*(chunk.present[name].tolist() for name in names), strict=True)
    return ["+".join(name for name, known in zip(names, row, strict=True) if known) for row in there]


def make_backend(predictor: Predictor, kind: str) -> Backend:
    """The model as torch runs it, or as ONNX Runtime does."""
    if kind == "onnx":
        from i2m2_med.scoring.onnx_backend import OnnxBackend

        return OnnxBackend(predictor)

    def ask(chunk: Chunk) -> Opinions:
        batch = chunk.batch().to(predictor.device)
        with torch.inference_mode():
            said = predictor.model(batch.inputs, batch.present)
        return Opinions(*(tensor.cpu() for tensor in said))

    return ask
