"""A paradigm trained by its mode: jointly, each expert alone, or alone first and then jointly (warm start) or stacked."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2m2_med.config.run import RunConfig
from i2m2_med.config.training import Training
from i2m2_med.console import say
from i2m2_med.curves import Curve
from i2m2_med.engine.prediction.build import build_model, check_shapes, give_shares, load_experts, training_of
from i2m2_med.engine.prediction.pretrained import load_pretrained
from i2m2_med.engine.training.devices import EXECUTION, check_execution
from i2m2_med.engine.training.fit import Fitted, Watch, fit
from i2m2_med.engine.training.held_out import check_combiner, fit_combiner
from i2m2_med.engine.training.loss import learnt_prior
from i2m2_med.engine.training.modulation import check_experts
from i2m2_med.engine.training.processes import leads
from i2m2_med.engine.training.selection import HIGHER
from i2m2_med.engine.training.stages import ALONE, settings_alone, settings_of_stages, trained_alone
from i2m2_med.errors import ConfigError
from i2m2_med.files import digest, sole_user
from i2m2_med.model import I2M2
from i2m2_med.samples.cohort import Cohort

CHECKS = {"stacked": check_combiner, "ogm-ge": check_experts}
"""By mode, what it asks of a model."""


@dataclass(kw_only=True)
class Cost:
    """What training a paradigm took, over all of its stages and learning rates; a stage that others share counts whole."""

    epochs: int = 0
    seconds: float = 0.0

    def add(self, epochs: int, seconds: float) -> None:
        """One stage more."""
        self.epochs += epochs
        self.seconds += seconds


@dataclass(frozen=True, kw_only=True)
class Stages:
    """The stages of training of a run's paradigms with one seed, each in a folder of checkpoints of its own."""

    run: RunConfig
    cohort: Cohort
    seed: int
    folder: Path
    """Holds a folder per stage, named by all that the stage depends on: what an interrupted call, or another paradigm of the
    same comparison, has trained there is taken up."""
    device: str
    watch: Watch
    cost: Cost = field(default_factory=Cost)
    curves: list[Curve] = field(default_factory=list[Curve])
    """Of every stage and learning rate, in their order."""
    loaded: list[str] = field(default_factory=list[str])
    """Lines on the first weights that were loaded, each once."""

    def fresh(self, experts: Sequence[str], combiner: dict[str, Any] | None) -> I2M2:
        """Return a model before training: random weights, and first weights of others where the config names them."""
        model = build_model(self.run, experts, self.cohort.labels, self.seed, combiner)
        for line in load_pretrained(model, self.run):
            if line not in self.loaded:
                self.loaded.append(line)
                say(line)
        return model

    def train(self, model: I2M2, training: Training, combiner: Mapping[str, Any]) -> None:
        """Train one stage in place, with the best of its learning rates."""
        experts = {name: self.run.experts[name].model_dump(mode="json") for name in model.names}
        depends = [experts, combiner, self.seed, self.cohort.fingerprint, digest_of(model)]
        start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        tried: list[tuple[float, dict[str, Tensor]]] = []
        for rate in training.learning_rates:
            settings = training.model_copy(update={"learning_rate": rate})
            folder = self.folder / digest([*depends, settings.model_dump(mode="json", exclude=set(EXECUTION))])[:16]
            model.load_state_dict(start)
            with (
                sole_user(folder, lambda: say("another process trains this stage; waiting for it"))
                if leads()
                else nullcontext()
            ):
                history, seconds = self.fit(model, settings, folder)
            self.cost.add(len(history), seconds)
            self.curves.append(Curve("+".join(model.names), rate, training.select, history))
            weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            tried.append((best_score(history, training.select), weights))
        model.load_state_dict(max(tried, key=lambda one: one[0])[1])

    def fit(self, model: I2M2, settings: Training, folder: Path) -> Fitted:
        """Fit `model` on the training split."""
        return fit(
            model,
            self.cohort.samples("train"),
            self.cohort.samples("valid"),
            settings,
            seed=self.seed,
            folder=folder,
            device=self.device,
            watch=self.watch,
            plugins=self.run.plugins,
        )

    def alone(self, expert: str, training: Training, shares: Tensor) -> I2M2:
        """Return a model of one expert, trained by itself."""
        model = self.fresh([expert], ALONE)
        give_shares(model, shares)
        self.train(model, settings_alone(self.run, training, expert), ALONE)
        return model


def train_paradigm(stages: Stages, name: str) -> I2M2:
    """Return the trained model of a paradigm, with its best epoch's weights."""
    run, cohort = stages.run, stages.cohort
    paradigm = run.paradigms[name]
    training = training_of(run, paradigm)
    model = stages.fresh(paradigm.experts, paradigm.combiner)
    for settings in settings_of_stages(run, name):
        check_execution(run, settings)
    check_mode(model, training)
    check_shapes(model, cohort.samples("train"))
    shares = learnt_prior(cohort.samples("train"), training)
    give_shares(model, shares)
    for expert in trained_alone(paradigm, training):
        single = stages.alone(expert, training, shares)
        model.experts[expert].load_state_dict(single.experts[expert].state_dict())
    if training.warm_start and not training.alone_first:
        if twice := [name for name in paradigm.experts if run.experts[name].weights]:
            raise ConfigError(f"experts.{twice[0]}.weights and training.warm_start both give first weights; keep one")
        load_experts(model, Path(training.warm_start))
    for expert in paradigm.frozen:
        model.experts[expert].requires_grad_(False)
    if training.mode == "stacked":
        began = time.perf_counter()
        fit_combiner(model, cohort.samples("valid"), training.batch * 4, stages.device)
        stages.cost.add(0, time.perf_counter() - began)
        return model
    if training.mode == "separate":
        model.experts.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            return model
    stages.train(model, training, paradigm.combiner or run.combiner)
    model.requires_grad_(True)
    return model


def check_mode(model: I2M2, training: Training) -> None:
    """Raise ConfigError for a model that `training.mode` can't train."""
    if training.mode in CHECKS:
        CHECKS[training.mode](model)


def best_score(history: list[dict[str, float]], select: str) -> float:
    """Return the best validation metric of a stage, signed so that higher is better; −∞ where it was never defined."""
    sign = 1 if HIGHER[select] else -1
    scores = [sign * metrics.get(f"valid_{select}", math.nan) for metrics in history]
    return max((score for score in scores if not math.isnan(score)), default=-math.inf)


def digest_of(model: I2M2) -> str:
    """Return a hash over a model's weights, bit for bit."""
    tensors = model.state_dict()
    return digest(
        {
            name: digest(tensor.cpu().reshape(-1).view(torch.uint8).numpy().tobytes().hex())
            for name, tensor in tensors.items()
        }
    )
