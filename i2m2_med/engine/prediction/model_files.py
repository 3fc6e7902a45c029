"""The settings and facts in a model folder, read without torch: what is asked of a model before it is loaded."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from i2m2_med.config.reader import lint_foreign, validate
from i2m2_med.config.run import RunConfig
from i2m2_med.config.yaml_source import Values
from i2m2_med.console import plain
from i2m2_med.documents import NotPlain, read_start, read_yaml
from i2m2_med.documents import read_json as parse_json
from i2m2_med.engine.prediction.calibration_file import misfit
from i2m2_med.engine.tracking.place_tokens import read_places, show
from i2m2_med.errors import ConfigError, ModelError
from i2m2_med.samples.joined import shapes
from i2m2_med.samples.normalise import State
from i2m2_med.sources.source import Source
from i2m2_med.workspace import workspace


def read_portable(path: Path, *, names_data: bool = False) -> RunConfig:
    """A model folder's config, typed and linted as a stranger's: `plugins` and places on this machine must be trusted (config/trust.py).

    names_data: it is a run's own config in the store, which says where its data lie, by the tokens of this workspace (tracking/place_tokens.py).
    """
    try:
        content = read_yaml(read_start(path))
        if not isinstance(content, dict):
            raise ConfigError(f"{path} holds no settings")
        own = read_places(workspace()) if names_data else None
        values = Values(str(path), show(content, own) if own else content, {(): str(path)})
        run = validate(values, foreign=not names_data)
        lint_foreign(run, values, None if own is None else own.values())
    except OSError as error:
        raise ModelError(f"{path.parent} is not a model folder: it lacks {path.name}") from error
    except ConfigError as error:  # it says where
        raise ModelError(str(error).splitlines()[0]) from error
    except NotPlain as error:
        raise ModelError(f"{path} is not plain YAML: {error}") from error
    return run


MAX_DEPTH = 12
LARGEST = 2**53
"""Whole numbers above it are not exact as floats."""
MOST_MEMBERS = 50
"""Models of an ensemble: `split.folds` at most."""


def is_word(text: str) -> str:
    """Return a label or class name as it is. Raises ValueError for one that no table, figure or terminal should show."""
    if plain(text) != text or "\n" in text:
        raise ValueError("holds signs that can't be printed")
    return text


def once(words: list[str]) -> list[str]:
    """Return names as they are. Raises ValueError where one stands twice: its column and results would be another's."""
    if len(set(words)) != len(words):
        raise ValueError("a name stands twice")
    return words


Word = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(is_word)]
Text = Annotated[str, StringConstraints(max_length=200), AfterValidator(is_word)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Statistics(BaseModel, extra="forbid", strict=True):
    """Mean and standard deviation of a modality's channels over the training data."""

    mean: Annotated[list[Number], Field(min_length=1)]
    std: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    levels: list[list[Number] | None] | None = None

    @model_validator(mode="after")
    def of_one_length(self) -> "Statistics":
        """Refuse a mean without its deviation, or levels of other columns."""
        if len(self.mean) != len(self.std):
            raise ValueError("as many means as deviations")
        if self.levels is not None and len(self.levels) != len(self.mean):
            raise ValueError("as many lists of levels as means")
        return self


class OfMember(BaseModel, extra="forbid", strict=True):
    """One fold's model in an ensemble: its training statistics and class shares."""

    state: dict[Word, Statistics]
    shares: list[list[Share]]


class About(BaseModel, extra="allow", strict=True):
    """The keys that `model.json` must have; others may stand beside them."""

    paradigm: Word
    seed: Annotated[int, Field(ge=0)]
    labels: Annotated[list[Word], Field(min_length=1, max_length=10_000), AfterValidator(once)]
    classes: Annotated[list[Word], Field(min_length=2, max_length=100_000), AfterValidator(once)]
    shares: list[list[Share]]
    fingerprint: Text
    envelope: dict[Word, dict[Word, Annotated[list[Number], Field(min_length=2, max_length=2)]]] = {}
    encoders: Annotated[dict[Word, Digest], Field(max_length=1_000)] = {}
    members: Annotated[list[OfMember], Field(max_length=MOST_MEMBERS)] = []


def read_about(folder: Path, run: RunConfig) -> dict[str, Any]:
    """Return `model.json` of a model folder whose config is `run`. Raises ModelError where it, or what stands beside it, is not what it should be."""
    about = read_json(folder / "model.json")
    try:
        About.model_validate(about)
    except ValidationError as error:
        places = [str(each["loc"][0]) if each["loc"] else "names" for each in error.errors(include_input=False)]
        wrong = ", ".join(dict.fromkeys(places))
        raise ModelError(
            f"{folder / 'model.json'} does not say {wrong} as it should; export the model again"
        ) from error
    if about["paradigm"] not in run.paradigms:
        raise ModelError(f"{folder}: the config has no paradigm '{about['paradigm']:.100}', of which model.json speaks")
    shares = [about["shares"], *(member["shares"] for member in about.get("members", ()))]
    if any([len(row) for row in one] != [len(about["classes"])] * len(about["labels"]) for one in shares):
        raise ModelError(f"{folder / 'model.json'} does not say shares as it should; export the model again")
    read_state(folder)
    if wrong := misfit(about, read_json(folder / "calibration.json")):
        raise ModelError(f"{folder / 'calibration.json'} {wrong}; export the model again")
    return about


def read_state(folder: Path) -> dict[str, Any]:
    """Return `state.json` of a model folder: the training statistics by modality. Raises ModelError where it is none."""
    state = read_json(folder / "state.json")
    try:
        TypeAdapter(dict[Word, Statistics]).validate_python(state)
    except ValidationError as error:
        raise ModelError(
            f"{folder / 'state.json'} does not hold means and deviations; export the model again"
        ) from error
    return state


def check_state(folder: Path, run: RunConfig, source: Source, states: Iterable[State]) -> None:
    """Raise ModelError where training statistics are not of the modalities that the source makes.

    Those of other channels would refuse every study; without those of a modality that was standardised, it would be read as it is.
    """
    of_columns = source.columns.keys() | shapes(run).keys()
    standardised = {name for name, how in run.modalities.normalise.items() if how == "standard"} | of_columns
    for state in states:
        for name in sorted(standardised - state.keys()):
            raise ModelError(
                f"{folder}: its statistics lack '{name:.100}', which the config standardises; export the model again"
            )
        for name, each in state.items():
            width, wanted = len(each["mean"]), source.channels.get(name)
            if wanted is not None and width != wanted:
                raise ModelError(
                    f"{folder}: its statistics of '{name}' are of {width} channels, the config makes {wanted}; export the model again"
                )
            if (name in of_columns) != (each.get("levels") is not None):
                raise ModelError(
                    f"{folder}: its statistics of '{name:.100}' are of another kind of modality; export the model again"
                )


def read_json(path: Path) -> dict[str, Any]:
    """Return one JSON file of a model folder: names and values. Raises ModelError for what is none, too large or too deep."""
    try:
        content = parse_json(read_start(path))
    except OSError as error:
        raise ModelError(f"{path.parent} is not a model folder: it lacks {path.name}") from error
    except NotPlain as error:
        raise ModelError(f"{path} is not a JSON object: {error}") from error
    if not isinstance(content, dict) or not is_plain(content):
        raise ModelError(f"{path} is not a JSON object of names, texts and finite numbers, at most {MAX_DEPTH} deep")
    return content


def is_plain(content: Any) -> bool:
    """Return whether JSON values are finite, exact and not deeper than `MAX_DEPTH`; level by level, not by recursion."""
    level: list[Any] = [content]
    for _ in range(MAX_DEPTH):
        below = [child for value in level if isinstance(value, dict) for child in value.values()]
        below += [child for value in level if isinstance(value, list) for child in value]
        if not all(is_finite(value) for value in below):
            return False
        level = [value for value in below if isinstance(value, dict | list)]
    return not level


def is_finite(value: Any) -> bool:
    """Return whether a value is no number, or one that a float holds: not NaN, infinite, or a whole number of any length."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) <= LARGEST
