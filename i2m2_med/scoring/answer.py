"""Chunks of one study → its result: one row per item, label and class, with what each expert said."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from i2m2_med.engine.artifact import Predictor, load_model
from i2m2_med.model import Opinions
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.reading import Chunk, Refusal
from i2m2_med.scoring.volumes import together

LADDER = (1, 10, 60, 600, 3600, 36000)
"""`seconds` is rounded up to one of these, so that scoring again gives the same bytes; `timings.csv` has what was measured."""


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
        self.backend: Backend = make_backend(self.predictor, job.backend)

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
        said = Opinions(
            torch.cat([each.log_probs for each in asked.said]),
            torch.cat([each.experts for each in asked.said], dim=1),
            torch.cat([each.present for each in asked.said], dim=1),
        )
        rows = self.table(said, asked.items, asked.patterns)
        how = self.predictor.run.evaluation.volumes
        if how != "none":
            whole = "+".join(sorted({name for pattern in asked.patterns for name in pattern.split("+") if name}))
            rows += self.table(together(said, how), [-1], [whole])
        return rows

    def table(self, said: Opinions, items: Sequence[int], pattern: Sequence[str]) -> list[dict[str, Any]]:
        """Rows of `said`: item, label, class, p, p_<expert>…, pattern, calibrated, set, decision."""
        n_samples, n_labels, n_classes = said.log_probs.shape
        each = n_labels * n_classes
        labels = self.predictor.labels
        columns: dict[str, Iterable[Any]] = {
            "item": np.repeat(items, each).tolist(),
            "label": list(np.repeat(labels.names, n_classes)) * n_samples,
            "class": list(range(n_classes)) * (n_samples * n_labels),
            "p": said.log_probs.double().exp().flatten().tolist(),
        }
        for name, log_probs, present in zip(self.predictor.model.names, said.experts, said.present, strict=True):
            there = np.repeat(present.numpy(), each)
            p = log_probs.double().exp().flatten().numpy()
            columns[f"p_{name}"] = [float(value) if known else None for value, known in zip(p, there, strict=True)]
        columns["pattern"] = [name for name in pattern for _ in range(each)]
        columns["calibrated"] = [False] * (n_samples * each)
        columns["set"] = [None] * (n_samples * each)
        columns["decision"] = [None] * (n_samples * each)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


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
