"""Settings of training, the same for every paradigm of a comparison."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from i2m2_med.config.settings import Settings, Target


class Training(Settings):
    """How the experts are trained. Every paradigm of a comparison gets the same."""

    mode: Literal["joint", "separate", "joint+aux", "ogm-ge", "stacked"] = "joint"
    """`joint`: loss on the combination; `separate`: each expert alone; `joint+aux`: joint plus `aux_weight` × each expert's own loss;
    `ogm-ge`: joint, where an expert that is ahead of the others learns more slowly (Peng et al., CVPR 2022); `stacked`: each expert
    alone, then the combiner's parameters on validation samples, which the experts did not learn from (Wolpert 1992)."""
    aux_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight λ of each expert's own loss in `joint+aux`."""
    ogm_alpha: Annotated[float, Field(gt=0)] = 0.5
    """How strongly `ogm-ge` slows an expert that is ahead: its α, published between 0.1 and 1."""
    warm_start: str | None = None
    """`separate` (train each expert alone first, with `separate` below), or a folder of expert weights (`<expert>.safetensors`)."""
    separate: dict[str, Any] = {}
    """Settings of `training` that the separate stage overrides (`mode: separate`, or before a warm start)."""
    modality_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability that a training sample loses a modality (never its last one)."""
    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Passes over the training split, at most."""
    batch: Annotated[int, Field(ge=1, le=1_000_000)] = 32
    """Samples per step."""
    learning_rate: (
        Annotated[float, Field(gt=0)] | Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    ) = 1e-3
    """Of several, each stage of training takes the one with the best `select`: every paradigm has the same choice."""
    optimizer: Target = {"_target_": "torch.optim.AdamW"}
    """A torch optimizer; the parameters and the learning rate are given to it."""
    loss: Target = {"_target_": "i2m2_med.engine.training.loss.MaskedNLL"}
    """Applied to the log-probabilities of the combination, label by label, where the label is known: the negative log-likelihood,
    `monai.losses.FocalLoss` or `torch.nn.CrossEntropyLoss` (`label_smoothing`). Another loss is called like torch's."""
    scheduler: Target | None = None
    """A torch scheduler, stepped once an epoch."""
    clip: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of the gradient."""
    class_weights: bool = False
    """Weight each label's classes by N / N_c of the training split; the loss has to take a `weight`."""
    patience: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Stop after this many epochs without a better `select`."""
    select: Literal["nll", "auroc", "average_precision", "accuracy", "soft_accuracy"] = "nll"
    """The validation metric whose best epoch is kept; a mean over labels. Of more than 50 classes nothing is ranked: neither
    `auroc` nor `average_precision`. `soft_accuracy`: mean score of the class decided on, where labels have soft scores."""
    workers: Annotated[int, Field(ge=0, le=1_024)] = 0
    """Processes that read samples; arrays in memory need none."""
    memory: Literal["all", "one_expert"] = "all"
    """What is kept for the gradient: `all` activations, or `one_expert`'s at a time: the same gradients, and experts are computed twice."""
    parallel: Literal["data", "experts"] = "data"
    """What several processes share: `data`, each a part of every batch, or `experts`, each computing some of them on the whole batch, so
    that only what experts say travels in a step. Of more processes than experts, several compute each expert, on parts of the batch."""
    accumulate: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Parts in which a `batch` is computed, one after another, so that memory is a part's: the same gradients, and parts are computed
    twice. Batch norms see a part."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it is trained; `auto`: on a GPU where there is one. Processes that share a training have one each."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of networks. `auto`: on a GPU `fp16` with scaled gradients, on a CPU `fp32`. `bf16` on a CPU is for those that have instructions
    for it (AMX, AVX512-BF16); others compute it more slowly than `fp32`. CPUs refuse `fp16`."""
    compile: bool = False
    """Let torch compile each expert's network: minutes at first, then faster steps on a GPU."""

    @model_validator(mode="before")
    @classmethod
    def _amp(cls, content: Any) -> Any:
        """`amp: true` and `false` of older configs are `precision: auto` and `fp32`."""
        if isinstance(content, dict) and isinstance(content.get("amp"), bool):
            content = {**content}
            content["precision"] = "auto" if content.pop("amp") else "fp32"
        return content

    @property
    def alone_first(self) -> bool:
        """Whether each expert is trained by itself before (or instead of) a stage of all."""
        return "separate" in {self.mode, self.warm_start} or self.mode == "stacked"

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The learning rates to choose from."""
        return self.learning_rate if isinstance(self.learning_rate, tuple) else (self.learning_rate,)


def apply_training(training: Training, overrides: Mapping[str, Any]) -> Training:
    """Training settings with a paradigm's or stage's own on top, typed again."""
    return Training.model_validate({**training.model_dump(), **overrides})
