"""The search space of `i2m2 tune`: ranges of settings that the config already has, closed and typed."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Annotated, Any

from pydantic import Field, model_validator

from i2m2_med.config.settings import Settings

ROOTS = "training.…, experts.<name>.network.…, experts.<name>.training.… or combiner.…"
Number = Annotated[float, Field(ge=-1e12, le=1e12)]
Pair = tuple[Number, Number]
Whole = Annotated[int, Field(ge=-(2**31), le=2**31)]
WholePair = tuple[Whole, Whole]


class Dimension(Settings):
    """One setting's range: exactly one of these."""

    log_uniform: Pair | None = None
    """Least and greatest of a number that is drawn evenly in its logarithm, such as a learning rate."""
    uniform: Pair | None = None
    """Least and greatest of a number that is drawn evenly."""
    choice: Annotated[tuple[bool | int | float | str, ...], Field(min_length=1, max_length=100)] | None = None
    """Values to choose from."""
    int: WholePair | None = None
    """Least and greatest of a whole number."""

    @model_validator(mode="after")
    def check_range(self) -> "Dimension":
        """Exactly one kind, the lower end first, above zero where a logarithm is taken."""
        given = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        if len(given) != 1:
            raise ValueError(
                "a range is one of log_uniform: [low, high], uniform: [low, high], int: [low, high], choice: [...]"
            )
        ((name, value),) = given.items()
        if name != "choice" and not value[0] < value[1]:
            raise ValueError(f"{name} goes from the lower to the higher end, found {list(value)}")
        if name == "log_uniform" and value[0] <= 0:
            raise ValueError(f"log_uniform needs numbers above 0, found {list(value)}")
        return self

    @property
    def ends(self) -> tuple[Any, ...]:
        """The outermost values, or every choice: if they fit, all between do."""
        return self.choice or self.log_uniform or self.uniform or self.int or ()


class Tune(Settings):
    """What `i2m2 tune` searches, with the same number of trials for every paradigm."""

    trials: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Trainings of each paradigm, each with the config's first seed."""
    startup: Annotated[int, Field(ge=1, le=10_000)] = 8
    """Trials drawn at random before Optuna's sampler (TPE) learns from earlier ones."""
    space: dict[str, Dimension] = {}
    """By dotted setting (`training.learning_rate`, `experts.joint.network.width`, `combiner.prior`), its range. Settings of the
    training hold for the paradigm as a whole, those of an expert for the paradigms that have it."""


Found = Mapping[str, Any]
"""By dotted setting, its value."""


def own_space(tune: Tune, experts: tuple[str, ...]) -> dict[str, Dimension]:
    """The part of the space that bears on a paradigm of these experts."""
    return {
        key: dimension
        for key, dimension in tune.space.items()
        if not key.startswith("experts.") or key.split(".")[1] in experts
    }


def with_settings(
    content: Mapping[str, Any], paradigms: Mapping[str, Any], found: Mapping[str, Found]
) -> dict[str, Any]:
    """A config's plain values with settings found for each paradigm, and without `tune`.

    paradigms: by name, experts, combiner and training as the config has them. A paradigm gets settings of its training and
    combiner, and experts of its own (`<expert>_<paradigm>`) where theirs were searched.
    """
    tuned = {name: value for name, value in deepcopy(dict(content)).items() if name != "tune"}
    tuned["paradigms"] = {
        name: own_paradigm(tuned, name, deepcopy(one), found.get(name, {})) for name, one in paradigms.items()
    }
    return tuned


def own_paradigm(content: dict[str, Any], name: str, paradigm: dict[str, Any], found: Found) -> dict[str, Any]:
    """One paradigm with what was found for it; its own experts are added to `content`."""
    renamed: dict[str, str] = {}
    for key, value in found.items():
        root, *path = key.split(".")
        if root == "training":
            put(paradigm.setdefault("training", {}), path, value, content.get("training", {}))
        elif root == "combiner":
            paradigm["combiner"] = paradigm.get("combiner") or deepcopy(
                content.get("combiner") or {"_target_": PRODUCT}
            )
            put(paradigm["combiner"], path, value, {})
        else:
            expert = path[0]
            own = renamed.setdefault(expert, f"{expert}_{name}")
            put(content["experts"].setdefault(own, deepcopy(content["experts"][expert])), path[1:], value, {})
    paradigm["experts"] = [renamed.get(expert, expert) for expert in paradigm["experts"]]
    return {key: value for key, value in paradigm.items() if value not in (None, {})}


PRODUCT = "i2m2_med.combiners.ProductOfExperts"


def put(block: dict[str, Any], path: list[str], value: Any, below: Mapping[str, Any]) -> None:
    """Set a value at a path; a block on the way is taken over from `below` (what the run has) where it is not there yet."""
    for at, step in enumerate(path[:-1]):
        if step not in block:
            inherited: Any = below
            for passed in path[: at + 1]:
                inherited = inherited.get(passed, {}) if isinstance(inherited, Mapping) else {}
            block[step] = deepcopy(inherited)
        block = block[step]
    block[path[-1]] = value
