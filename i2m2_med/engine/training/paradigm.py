"""A paradigm trained by its mode: jointly, each expert alone, or alone first and then jointly (warm start)."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2m2_med.config.run import RunConfig, Training
from i2m2_med.engine.prediction.build import build_model, check_shapes, give_shares, load_experts, training_of
from i2m2_med.engine.training.fit import Watch, fit
from i2m2_med.engine.training.loss import class_shares
from i2m2_med.engine.training.selection import HIGHER_IS_BETTER
from i2m2_med.files import digest
from i2m2_med.model import I2M2
from i2m2_med.samples.cohort import Cohort

ALONE = {"_target_": "i2m2_med.combiners.ProductOfExperts"}
"""How one expert is "combined": left as it is. It is the default, so that a unimodal paradigm's stage serves a warm start too."""


def train_paradigm(
    run: RunConfig, cohort: Cohort, name: str, *, seed: int, stages: Path, device: str, watch: Watch
) -> I2M2:
    """A trained model with its best epoch's weights.

    stages: a folder of checkpoints, one per stage of training, named by all that the stage depends on; what an interrupted
    call, or another paradigm of the same comparison, has trained there is taken up.
    """
    paradigm = run.paradigms[name]
    training = training_of(run, paradigm)
    model = build_model(run, paradigm.experts, cohort.labels, seed, paradigm.combiner)
    check_shapes(model, cohort.samples("train").__getitems__(probe_rows(cohort)))
    shares = class_shares(cohort.samples("train"))
    give_shares(model, shares)
    if training.mode == "separate" or training.warm_start == "separate":
        for expert in paradigm.experts:
            own = {**training.separate, **run.experts[expert].training, "mode": "joint", "warm_start": None}
            alone = Training.model_validate({**training.model_dump(), **own})
            single = build_model(run, [expert], cohort.labels, seed, ALONE)
            give_shares(single, shares)
            train_stage(run, cohort, single, alone, seed, stages, device, watch, ALONE)
            model.experts[expert].load_state_dict(single.experts[expert].state_dict())
    elif training.warm_start:
        load_experts(model, Path(training.warm_start))
    if training.mode == "separate":
        model.experts.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            return model
    train_stage(run, cohort, model, training, seed, stages, device, watch, paradigm.combiner or run.combiner)
    model.requires_grad_(True)
    return model


def train_stage(
    run: RunConfig,
    cohort: Cohort,
    model: I2M2,
    training: Training,
    seed: int,
    stages: Path,
    device: str,
    watch: Watch,
    combiner: Mapping[str, Any],
) -> None:
    """One stage, in the folder that its experts, settings, data and first weights name; the best of its learning rates."""
    experts = {name: run.experts[name].model_dump(mode="json") for name in model.names}
    depends = [experts, combiner, seed, cohort.fingerprint, digest_of(model)]
    train, valid = cohort.samples("train"), cohort.samples("valid")
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tried: list[tuple[float, dict[str, Tensor]]] = []
    for rate in training.learning_rates:
        settings = training.model_copy(update={"learning_rate": rate})
        folder = stages / digest([*depends, settings.model_dump(mode="json")])[:16]
        model.load_state_dict(start)
        history = fit(model, train, valid, settings, seed=seed, folder=folder, device=device, watch=watch)
        tried.append(
            (best_score(history, training.select), {name: t.clone() for name, t in model.state_dict().items()})
        )
    model.load_state_dict(max(tried, key=lambda one: one[0])[1])


def best_score(history: list[dict[str, float]], select: str) -> float:
    """The best validation metric of a stage, signed so that higher is better; −∞ where it was never defined."""
    sign = 1 if HIGHER_IS_BETTER[select] else -1
    scores = [sign * metrics.get(f"valid_{select}", math.nan) for metrics in history]
    return max((score for score in scores if not math.isnan(score)), default=-math.inf)


def probe_rows(cohort: Cohort) -> list[int]:
    """Two training rows that hold every modality, if there are such; else the first two."""
    samples = cohort.samples("train")
    whole = torch.ones(len(samples), dtype=torch.bool)
    for present in samples.presence.values():
        whole &= present
    rows = whole.nonzero()[:2, 0].tolist()
    return rows if len(rows) == 2 else list(range(min(2, len(samples))))


def digest_of(model: I2M2) -> str:
    """A hash over a model's weights, bit for bit."""
    tensors = model.state_dict()
    return digest(
        {
            name: digest(tensor.cpu().reshape(-1).view(torch.uint8).numpy().tobytes().hex())
            for name, tensor in tensors.items()
        }
    )
