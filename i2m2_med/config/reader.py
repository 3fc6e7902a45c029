"""From a YAML file to a typed RunConfig: every problem at once, each with its file, line and remedy."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from i2m2_med.config.run import ALLOWED, IDEAL, RunConfig, nearest
from i2m2_med.config.settings import Settings
from i2m2_med.config.yaml_source import Key, Values, read_values
from i2m2_med.errors import ConfigError


def load_config(config: str, overrides: Sequence[str] = ()) -> tuple[RunConfig, Values]:
    """Read and type a config named by path or shipped name; `overrides` are `key.sub=value`."""
    values = read_values(config, overrides)
    run = validate(values)
    lint_targets(run, values)
    return run, values


def validate(values: Values) -> RunConfig:
    """Type the values, or say everything that is wrong with them."""
    problems: list[str] = []
    content = dict(values.content)
    try:
        content["source"] = source_settings(content.get("source"), values)
    except ValidationError as error:
        problems += [
            explain({**found, "loc": ("source", *found["loc"])}, values) for found in error.errors(include_url=False)
        ]
        content["source"] = Settings()
    except ConfigError as error:
        problems.append(str(error))
        content["source"] = Settings()
    if is_simulated(content["source"]):
        content["synthetic"] = True
    try:
        run = RunConfig.model_validate(content)
    except ValidationError as error:
        problems += [explain(found, values) for found in error.errors(include_url=False)]
    else:
        if not problems:
            return run
    raise ConfigError("\n".join(dict.fromkeys(problems)))


def is_simulated(source: Settings) -> bool:
    """Whether a simulator made the data: it leaves what an ideal observer reaches beside them, and a real data set has none."""
    root = getattr(source, "root", None)
    return isinstance(root, Path) and (root / IDEAL).exists()


def explain(problem: Mapping[str, Any], values: Values) -> str:
    """One pydantic problem as a line: place, key, what was found, what to do."""
    key: Key = tuple(problem["loc"])
    dotted = ".".join(map(str, key))
    place = values.where(key)
    if problem["type"] == "extra_forbidden":
        return f"{place}: {dotted} is not a setting{nearest(str(key[-1]), fields_at(key[:-1], values))}"
    if problem["type"] == "missing":
        return f"{place}: {dotted} is missing"
    if problem["type"] == "value_error":
        return f"{place}: {dotted + ': ' if key else ''}{str(problem['msg']).removeprefix('Value error, ')}"
    return f"{place}: {dotted}: {problem['msg']}, found {problem['input']!r:.80}"


def fields_at(key: Key, values: Values) -> list[str]:
    """The settings that exist where a misspelt one was found."""
    here: Any = RunConfig
    for step in key:
        if here is RunConfig and step == "source":
            here = source_class(str(values.content["source"]["name"]))
            continue
        field: FieldInfo | None = here.model_fields.get(str(step))
        if field is not None:
            nested = [part for part in with_arguments(field.annotation) if hasattr(part, "model_fields")]
            here = nested[0] if nested else here
    return list(here.model_fields)


def with_arguments(annotation: Any) -> Iterator[Any]:
    """A type and the types inside it: dict[str, Expert] → dict, str, Expert."""
    yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from with_arguments(part)


def source_settings(block: Any, values: Values) -> Settings:
    """The typed settings of the source that the block's `name` names: module `i2m2_med.sources.<name>`, class `Settings`."""
    place = values.where(("source",))
    if not isinstance(block, Mapping) or "name" not in block:
        raise ConfigError(f"{place}: source must say a name and its settings; names are {', '.join(source_names())}")
    settings = source_class(str(block["name"]))
    if settings is None:
        names = source_names()
        near = get_close_matches(str(block["name"]), names, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ConfigError(
            f"{values.where(('source', 'name'))}: source.name '{block['name']}' is not a source (there are {', '.join(names)}){hint}"
        )
    return settings.model_validate(dict(block))


def source_class(name: str) -> type[Settings] | None:
    """Return the settings class of a data set by its name; None where there is none of that name.

    A data set is a module of `i2m2_med.sources` with a `Source` and closed `Settings` whose `name` is the module's.
    """
    if name not in {
        module.name for module in pkgutil.iter_modules(importlib.import_module("i2m2_med.sources").__path__)
    }:
        return None
    module = importlib.import_module(f"i2m2_med.sources.{name}")
    settings = getattr(module, "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, Settings) and hasattr(module, "Source")):
        return None
    field = settings.model_fields.get("name")
    return settings if field is not None and field.default == name else None


def source_names() -> list[str]:
    """Return the data sets that there are."""
    package = importlib.import_module("i2m2_med.sources")
    return [module.name for module in pkgutil.iter_modules(package.__path__) if source_class(module.name)]


def lint_targets(run: RunConfig, values: Values) -> None:
    """Refuse what a config from a stranger could run: `$` expressions, references, and targets outside the list."""
    problems = [
        line for key, value in walk(run.model_dump(exclude={"source"}), ()) if (line := lint(key, value, run, values))
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def lint(key: Key, value: Any, run: RunConfig, values: Values) -> str | None:
    """What is wrong with one value, if anything."""
    dotted = ".".join(map(str, key))
    if key and str(key[-1]).startswith("_") and key[-1] != "_target_":
        return f"{values.where(key)}: {dotted}: of MONAI's own keys only _target_ is allowed"
    if isinstance(value, str) and value.startswith(("$", "@", "%")):
        return f"{values.where(key)}: {dotted}: '{value:.60}' is an expression or reference; configs hold values only"
    if not (key and key[-1] == "_target_"):
        return None
    allowed = (*ALLOWED, *run.plugins)
    if not isinstance(value, str) or not value.startswith(allowed) or ".." in value:
        return f"{values.where(key)}: {dotted}: '{value}' is not allowed; a _target_ starts with {', '.join(allowed)}"
    return None


def walk(content: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    """Every leaf of nested mappings and lists, with its path."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield from walk(value, (*key, name))
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from walk(value, (*key, index))
    else:
        yield key, content
