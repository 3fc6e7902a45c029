"""The stages of training that paradigms are made of, as the config says: what a comparison trains, and how often."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from i2m2_med.config.experts import Paradigm
from i2m2_med.config.run import RunConfig
from i2m2_med.config.training import Training
from i2m2_med.engine.prediction.build import training_of
from i2m2_med.engine.training.devices import EXECUTION
from i2m2_med.files import digest

ALONE = {"_target_": "i2m2_med.combiners.ProductOfExperts"}
"""The combiner of one expert, which leaves it as it is. It is the default, so that a unimodal paradigm's stage serves a warm start too."""


@dataclass(frozen=True)
class PlannedStage:
    """Epochs over the training split in which the same experts learn together."""

    experts: tuple[str, ...]
    settings: Training
    combiner: dict[str, Any]
    frozen: tuple[str, ...] = ()
    """Experts that stay as they are."""
    after: tuple["PlannedStage", ...] = ()
    """Stages whose weights it begins with."""

    @property
    def key(self) -> str:
        """A digest of all that it depends on beside data and seed: stages of one key are trained once."""
        settings = self.settings.model_dump(mode="json", exclude=set(EXECUTION))
        return digest([self.experts, settings, self.combiner, self.frozen, [one.key for one in self.after]])

    @property
    def epochs(self) -> int:
        """The most epochs of it, over all learning rates that it may choose from."""
        return self.settings.epochs * len(self.settings.learning_rates)


def planned_stages(run: RunConfig, paradigm: str, combiner_learns: bool = False) -> list[PlannedStage]:
    """Return the stages of a paradigm in the order in which they are trained.

    combiner_learns: whether its combiner has parameters, which mode `separate` trains when the experts are done.
    """
    chosen = run.paradigms[paradigm]
    training = training_of(run, chosen)
    alone = [
        PlannedStage((name,), settings_alone(run, training, name), ALONE) for name in trained_alone(chosen, training)
    ]
    if training.mode == "stacked" or (training.mode == "separate" and not combiner_learns):
        return alone
    frozen = chosen.experts if training.mode == "separate" else chosen.frozen
    whole = PlannedStage(tuple(chosen.experts), training, chosen.combiner or run.combiner, tuple(frozen), tuple(alone))
    return [*alone, whole]


def distinct(stages: Sequence[PlannedStage]) -> list[PlannedStage]:
    """Return each stage once that several paradigms share."""
    return list({stage.key: stage for stage in stages}.values())


def trained_alone(paradigm: Paradigm, training: Training) -> list[str]:
    """Return the experts of a paradigm that are trained by themselves before it."""
    return [name for name in paradigm.experts if training.alone_first or name in paradigm.frozen]


def settings_alone(run: RunConfig, training: Training, expert: str) -> Training:
    """Return the settings of the stage in which an expert is trained by itself."""
    own = {**training.separate, **run.experts[expert].training, "mode": "joint", "warm_start": None}
    return Training.model_validate({**training.model_dump(), **own})


def settings_of_stages(run: RunConfig, paradigm: str) -> list[Training]:
    """Return the settings of every stage that trains a paradigm."""
    training = training_of(run, run.paradigms[paradigm])
    alone = trained_alone(run.paradigms[paradigm], training)
    return [training, *(settings_alone(run, training, expert) for expert in alone)]
