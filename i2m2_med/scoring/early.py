"""Scoring within a budget: experts are asked in the order of their cost, until the rest would hardly change the decision.

What validation promises, and how, is `engine/calibration/early.py`. An item that lacks a modality is put to every expert that can
answer: the promise is of items that all experts read. Where items stop, their probabilities are calibrated for the experts asked.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from i2m2_med.engine.calibration.early import at_least_smallest, margins, thresholds
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.errors import ModelError, UserError
from i2m2_med.model import I2M2, Opinions
from i2m2_med.samples.batch import Batch
from i2m2_med.scoring.calibrated import CalibratedPredictions, calibrate_items
from i2m2_med.scoring.reading import Chunk


class EarlyBackend:
    """Runs a model's experts one after the other, each on the items that are still undecided.

    Raises UserError for a model that can't stop early, or whose validation was too small to promise the budget.
    """

    def __init__(self, predictor: Predictor, budget: float) -> None:
        if not 0 < budget < 1:
            raise UserError(f"--budget is a share of patients between 0 and 1, such as 0.01; it is {budget:g}")
        early = predictor.calibration.get("early")
        if not early or not isinstance(predictor.model, I2M2):
            raise UserError(
                "--budget: this model has no order to stop in (one expert, folds, more than 50 classes, not calibrated, or "
                "made by an earlier version); score without it"
            )
        if sorted(early["order"]) != sorted(predictor.model.names):
            raise ModelError("calibration.json: the order to stop in does not name the model's experts")
        self.limits = thresholds(early, budget)
        if not np.isfinite(self.limits).any():
            raise UserError(
                f"--budget {budget:g}: {early['patients']} patients of validation can't promise that; give a larger share, or score without it"
            )
        self.model, self.early, self.device = predictor.model, early, predictor.device

    def __call__(self, chunk: Chunk) -> Opinions:
        """Return the log-probabilities of the model and of the experts asked; the others are absent."""
        batch = chunk.batch().to(self.device)
        names, size = self.model.names, len(batch.rows)
        experts = torch.zeros((len(names), size, *self.model.shape), device=self.device)
        present = torch.zeros((len(names), size), dtype=torch.bool, device=self.device)
        undecided = torch.arange(size, device=self.device)
        pattern = np.array(chunk.patterns())
        whole = whole_items(self.model, pattern)
        combined = torch.zeros_like(experts[0])
        with torch.inference_mode():
            for at, name in enumerate(self.early["order"]):
                if not len(undecided):
                    break
                place = names.index(name)
                experts[place, undecided], present[place, undecided] = self.ask(name, batch, undecided)
                if at < len(self.limits) and np.isfinite(self.limits[at]):
                    rows = undecided.cpu().numpy()
                    said = self.model.combiner(at_least_smallest(experts[:, undecided]), present[:, undecided])
                    how = self.early["stops"][at]["calibration"]
                    apart = margins(said.double().cpu().numpy(), pattern[rows], how)
                    decided = torch.from_numpy(whole[rows] & (apart > self.limits[at])).to(self.device)
                    combined[undecided[decided]] = said[decided]
                    undecided = undecided[~decided]
            combined[undecided] = self.model.combiner(experts[:, undecided], present[:, undecided])
        return Opinions(combined.cpu(), experts.cpu(), present.cpu())

    def ask(self, name: str, batch: Batch, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return an expert's log-probabilities of some items, and where it has any."""
        inputs = {modality: tensor[rows] for modality, tensor in batch.inputs.items()}
        present = {modality: there[rows] for modality, there in batch.present.items()}
        return self.model.ask(name, inputs, present)[:2]


def whole_items(model: I2M2, patterns: Sequence[str] | np.ndarray) -> Bool[np.ndarray, "item"]:
    """Return which items every expert can read. patterns: the modalities of each, '+'-joined."""
    return np.array([all(model.can_answer(name, one.split("+")) for name in model.names) for one in patterns], bool)


def calibrate_asked(
    predictor: Predictor, raw: np.ndarray, experts: np.ndarray, present: np.ndarray, patterns: list[str]
) -> CalibratedPredictions:
    """Calibrate items (item, label, class), each for the experts that it was put to. present: (expert, item)."""
    calibration = predictor.calibration
    asked = experts_asked(predictor, present, patterns)
    parts: list[CalibratedPredictions] = []
    rows = [np.flatnonzero(asked == count) for count in np.unique(asked)]
    for chosen in rows:
        count = int(asked[chosen[0]])
        how = calibration if count == len(experts) else calibration["early"]["stops"][count - 1]["calibration"]
        parts.append(calibrate_items(raw[chosen], experts[:, chosen], [patterns[at] for at in chosen], how))
    if len(parts) == 1:
        return parts[0]
    back = np.argsort(np.concatenate(rows))
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])[back]
        for name in vars(parts[0])
        if name != "experts"
    }
    return CalibratedPredictions(**joined, experts=experts)


def experts_asked(predictor: Predictor, present: np.ndarray, patterns: list[str]) -> Int[np.ndarray, "item"]:
    """Return how many experts each item that all can read was put to; all of them for other items."""
    if not isinstance(predictor.model, I2M2):
        return np.full(len(patterns), len(present))
    return np.where(whole_items(predictor.model, patterns), present.sum(axis=0), len(present))


def spared(predictor: Predictor, present: np.ndarray, patterns: list[str]) -> dict[str, int]:
    """Return how many `items` there are, how many `stopped` early, and the operations (`flops`) done of those `of` all experts."""
    early, asked = predictor.calibration["early"], experts_asked(predictor, present, patterns)
    places = [predictor.model.names.index(name) for name in early["order"]]
    flops = np.array(early["flops"])
    can = np.array([[predictor.model.can_answer(name, one.split("+")) for name in early["order"]] for one in patterns])
    return {
        "items": len(patterns),
        "stopped": int((asked < len(present)).sum()),
        "flops": int((present[places].T * flops).sum()),
        "of": int((can * flops).sum()),
    }
