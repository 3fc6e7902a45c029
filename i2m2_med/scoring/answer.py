"""Chunks of one study → its result: one row per item, label and class, with each expert's probability."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from i2m2_med.engine.prediction.predict import joined
from i2m2_med.engine.prediction.predictor import Predictor, load_model
from i2m2_med.errors import ModelError, SourceError, UserError
from i2m2_med.model import Opinions
from i2m2_med.predictions import MANY, Level
from i2m2_med.samples.growth import LARGEST
from i2m2_med.scoring.calibrated import CalibratedPredictions, calibrate_items, pool_items
from i2m2_med.scoring.early import EarlyBackend, calibrate_asked, spared
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.many_classes import rows_of_many
from i2m2_med.scoring.reading import Chunk, Refusal, refusal

LADDER = (1, 10, 60, 600, 3600, 36000)
"""`seconds` is rounded up to one of these, so that scoring again gives the same bytes."""


Backend = Callable[[Chunk], Opinions]
"""Runs a model's experts and combiner on a chunk."""


@dataclass
class StudyOutputs:
    """The model's outputs for the chunks of one study so far, or the reason why it is refused."""

    items: list[int] = field(default_factory=list[int])
    patterns: list[str] = field(default_factory=list[str])
    outputs: list[Opinions] = field(default_factory=list[Opinions])
    warnings: dict[str, None] = field(default_factory=dict[str, None])
    refusal: Refusal | None = None


class StudyPredictor:
    """A model in memory that turns the chunks of a study into its result."""

    def __init__(self, job: Job) -> None:
        torch.set_num_threads(job.threads)
        self.job = job
        self.trained: Predictor = load_model(job.model, job.device)
        self.trained.model.to(self.trained.device)
        self.check_calibration()
        self.backend: Backend = make_backend(self.trained, job.backend, job.budget)

    def check_calibration(self) -> None:
        """Raise ModelError where `calibration.json` (from a stranger, perhaps) does not fit the model."""
        labels, classes = self.trained.model.shape
        if classes > MANY:
            return
        even = np.full((1, labels, classes), 1 / classes)
        try:
            for pattern in ("", *self.trained.calibration.get("patterns", ())):
                calibrate_items(even, even[None], [pattern], self.trained.calibration)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelError(f"{self.job.model / 'calibration.json'} does not fit the model") from error

    def add(self, study: StudyOutputs, chunk: Chunk | Refusal) -> None:
        """Predict one more chunk of a study, or note why the study is refused."""
        if isinstance(chunk, Refusal):
            study.refusal = chunk
            return
        self.take(study, chunk, self.backend(chunk))

    def small(self, chunk: Chunk) -> bool:
        """Return whether a chunk leaves room for other studies in a forward pass (`Job.together`)."""
        values = sum(array.size for array in chunk.inputs.values())
        return (
            self.job.together > 1
            and len(chunk.items) < self.trained.run.scoring.batch
            and values * self.job.together <= LARGEST
        )

    def add_together(self, studies: Sequence[StudyOutputs], chunks: Sequence[Chunk]) -> None:
        """Predict a chunk of each study in one forward pass. The chunks have one `Chunk.shape`."""
        opinions = self.backend(Chunk.joined(chunks))
        sizes = [len(chunk.items) for chunk in chunks]
        said = opinions.log_probs.split(sizes)
        each_said, present = opinions.experts.split(sizes, dim=1), opinions.present.split(sizes, dim=1)
        for study, chunk, *part in zip(studies, chunks, said, each_said, present, strict=True):
            self.take(study, chunk, Opinions(*part))

    def take(self, study: StudyOutputs, chunk: Chunk, opinions: Opinions) -> None:
        """Note what the model says of a chunk."""
        study.outputs.append(opinions)
        study.items += chunk.items
        study.patterns += chunk.patterns()
        study.warnings |= dict.fromkeys(chunk.warnings)

    def result(self, name: str, content: str, study: StudyOutputs, seconds: float) -> dict[str, Any]:
        """Return the content of `<study>.json`. content: hash of the study's files; seconds: spent on it."""
        head = {
            "study": name,
            "model": self.job.name,
            "config_sha": self.trained.config_sha,
            "key": self.job.key(content),
            "seconds": next((step for step in LADDER if seconds <= step), LADDER[-1]),
        }
        refused = study.refusal
        if refused is None:
            try:
                warning = "; ".join(study.warnings)
                return {
                    **head,
                    "status": "ok",
                    "error": "",
                    "warning": warning,
                    **self.spared(study),
                    "rows": self.rows(study),
                }
            except SourceError as error:
                refused = refusal(error)
        key = head["key"] if refused.lasting else ""
        return {**head, "key": key, "status": "refused", "error": refused.why, "warning": "", "rows": []}

    def spared(self, study: StudyOutputs) -> dict[str, Any]:
        """Return what stopping early spared (`spared`), where it is asked for."""
        if self.job.budget is None or not study.outputs:
            return {}
        present = torch.cat([chunk.present for chunk in study.outputs], dim=1).numpy()
        return {"spared": spared(self.trained, present, study.patterns)}

    def rows(self, study: StudyOutputs) -> list[dict[str, Any]]:
        """Return rows per item, then, where the run reports on studies, rows of the study as a whole (`level`).

        Raises SourceError where there is nothing to predict, or a prediction is no number.
        """
        if not study.outputs:
            raise SourceError("the study holds nothing that the model reads")
        raw = np.concatenate([probabilities(chunk.log_probs) for chunk in study.outputs])
        present = torch.cat([chunk.present for chunk in study.outputs], dim=1).numpy()
        each_expert = np.concatenate([probabilities(chunk.experts) for chunk in study.outputs], axis=1)
        check_numbers("the model's prediction", raw)
        check_numbers("an expert's prediction", each_expert[present])
        if raw.shape[2] > MANY:
            names = self.trained.model.names
            return rows_of_many(
                joined(study.outputs),
                study.items,
                study.patterns,
                labels=self.trained.labels.names,
                experts=names,
                calibration=self.trained.calibration,
            )
        experts = np.where(present[:, :, None, None], each_expert, np.nan)
        items = calibrate_asked(self.trained, raw, experts, present, study.patterns)
        check_numbers("the calibrated prediction", items.p)
        rows = self.table(items, study.items, study.patterns, "item")
        how = self.trained.run.evaluation.volumes
        if how != "none":
            whole = "+".join(sorted({name for pattern in study.patterns for name in pattern.split("+") if name}))
            rows += self.table(pool_items(items, how), [None], [whole], "study")
        return rows

    def table(
        self, predictions: CalibratedPredictions, items: Sequence[int | None], pattern: Sequence[str], level: Level
    ) -> list[dict[str, Any]]:
        """Return rows of the prediction table, one per item, label and class."""
        n_items, n_labels, n_classes = predictions.p.shape
        each = n_labels * n_classes
        names = self.trained.model.names
        columns: dict[str, list[Any]] = {
            "item": [item for item in items for _ in range(each)],
            "level": [level] * (n_items * each),
            "label": np.repeat(self.trained.labels.names, n_classes).tolist() * n_items,
            "class": list(range(n_classes)) * (n_items * n_labels),
            "p": predictions.p.ravel().tolist(),
            **{f"p_{name}": without_nan(p.ravel()) for name, p in zip(names, predictions.experts, strict=True)},
            "pattern": [name for name in pattern for _ in range(each)],
            "uncalibrated": predictions.raw.ravel().tolist(),
            "calibrated": np.repeat(predictions.calibrated, each).tolist(),
            "set": np.repeat(predictions.sets.ravel(), n_classes).tolist(),
            "set_split": np.repeat(predictions.split_sets.ravel(), n_classes).tolist(),
            "decision": np.repeat(predictions.decision.ravel(), n_classes).tolist(),
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def check_numbers(what: str, values: np.ndarray) -> None:
    """Raise SourceError for values that are NaN or infinite: an overflow in the network, or weights that are no numbers."""
    if not np.isfinite(values).all():
        raise SourceError(f"{what} is no number (NaN or infinite)")


def probabilities(log_probs: Tensor) -> np.ndarray:
    """Return exp(log_probs) in float64."""
    return log_probs.double().exp().numpy()


def without_nan(values: np.ndarray) -> list[float | None]:
    """Return values with None for NaN, which JSON lacks."""
    return [None if value != value else value for value in values.tolist()]


def make_backend(predictor: Predictor, kind: str, budget: float | None = None) -> Backend:
    """Return the model as torch runs it, expert by expert where there is a `budget`, or as ONNX Runtime does (`kind` 'onnx')."""
    if budget is not None:
        if kind != "torch":
            raise UserError("--budget asks experts one after the other by torch; leave --backend out")
        return EarlyBackend(predictor, budget)
    if kind == "onnx":
        from i2m2_med.scoring.onnx_backend import OnnxBackend

        return OnnxBackend(predictor)

    def predict(chunk: Chunk) -> Opinions:
        batch = chunk.batch().to(predictor.device)
        with torch.inference_mode():
            output = predictor.model(batch.inputs, batch.present)
        return Opinions(*(tensor.cpu() for tensor in output))

    return predict
