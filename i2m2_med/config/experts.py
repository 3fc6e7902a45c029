"""Settings of experts, and of paradigms: choices of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from i2m2_med.config.settings import Settings, Target


class Pretrained(Settings):
    """First weights of a part of a network. Only training a fresh model reads them: the trained model has weights of its own."""

    file: Path
    """A state dict (`torch.save(model.state_dict(), …)`), safetensors, or a MONAI bundle's folder (`models/model.pt` or
    `model.safetensors`); values are read, code is never run."""
    part: str = ""
    """The part of `network` by its dotted name, such as `encoders.0.network`; the whole network where not given."""
    prefix: str = ""
    """What the file's names begin with before the part's own, such as `module.` or `backbone.`; other tensors are left out."""
    frozen: bool = False
    """Keep the part as it is: no parameter is trained, no running statistic of its norms moves, nothing is dropped out."""


class Expert(Settings):
    """One predictor: the modalities it reads, and its network."""

    reads: Annotated[tuple[str, ...], Field(min_length=1)]
    """The modalities, in the order in which `network` takes them."""
    needs: Literal["all", "any"] = "all"
    """Which of `reads` a sample must have: `all`, or `any` of them for a network that takes `present` too and does without the others."""
    network: Target
    """Called with the modalities in the order of `reads`, → logits (batch, label, classes)."""
    training: dict[str, Any] = {}
    """Settings of `training` that this expert overrides while it is trained alone (`mode: separate`, or before a warm start)."""
    weights: Annotated[tuple[Pretrained, ...], Field(max_length=100)] = ()
    """First weights of parts of `network`, instead of random ones; the same in every paradigm and seed."""

    @property
    def needed(self) -> str:
        """The modalities without which it can't judge: 'static+series', or 'static or series'."""
        return (" or " if self.needs == "any" else "+").join(self.reads)


class Paradigm(Settings):
    """A choice of experts, and where they differ from the run's: combiner and training."""

    came_later = ("frozen",)
    experts: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the run's experts that it multiplies."""
    frozen: tuple[str, ...] = ()
    """Those of them that are trained alone first and then stay as they are while the others are trained, such as the biased expert
    of a product that is to learn what the bias does not explain (Clark et al. 2019)."""
    combiner: Target | None = None
    """Its own combiner; the run's where not said."""
    training: dict[str, Any] = {}
    """Settings of `training` that this paradigm overrides."""


def derive_paradigms(experts: Mapping[str, Expert]) -> dict[str, Paradigm]:
    """The paper's paradigms, as far as the experts make them: unimodal, intra, inter, I2M2."""
    alone = tuple(name for name, expert in experts.items() if len(expert.reads) == 1)
    joint = tuple(name for name, expert in experts.items() if len(expert.reads) > 1)
    made: dict[str, tuple[str, ...]] = {f"unimodal_{name}": (name,) for name in alone}
    if len(alone) > 1:
        made["intra"] = alone
    if joint:
        made["inter"] = joint
    made["i2m2"] = (*alone, *joint)
    return {name: Paradigm(experts=members) for name, members in made.items()}
