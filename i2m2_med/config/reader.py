"""From a YAML file to a typed RunConfig: every problem at once, each with its file, line and remedy."""

import importlib
import pkgutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from i2m2_med.config.allow_list import allowed, places, refusals, short
from i2m2_med.config.run import IDEAL, RunConfig, nearest
from i2m2_med.config.settings import Settings
from i2m2_med.config.texts import unplain
from i2m2_med.config.trust import VARIABLE, foreign_places, is_trusted_place, trusted
from i2m2_med.config.yaml_source import Key, Values, expand, read_values
from i2m2_med.console import plain
from i2m2_med.errors import ConfigError

MOST_PROBLEMS = 20
"""Lines of one refusal: a config that is wrong in more places is not read on."""
LONGEST_LINE = 1_000
"""Characters of such a line."""


def load_config(config: str, overrides: Sequence[str] = ()) -> tuple[RunConfig, Values]:
    """Read and type a config named by path or shipped name; `overrides` are `key.sub=value`."""
    values = read_values(config, overrides)
    content = expand(values.content, (), values, lambda key: takes_place(key, values))
    values = replace(values, content=completed(replace(values, content=content)))
    run = validate(values)
    lint_targets(run, values)
    return run, values


def completed(values: Values) -> dict[str, Any]:
    """The values with what a source fills in where they are silent (its module's `complete`), `experts: auto` above all."""
    content = values.content
    name = content["source"].get("name") if isinstance(content.get("source"), Mapping) else None
    complete = (
        getattr(importlib.import_module(f"i2m2_med.sources.{name}"), "complete", None)
        if source_class(str(name))
        else None
    )
    if complete is None:
        if content.get("experts") == "auto":
            raise ConfigError(
                f"{values.where(('experts',))}: experts: auto is for sources that know their modalities' shapes; name them"
            )
        return content
    try:
        settings = source_settings(content["source"], values)
    except ValidationError:  # `validate` says all that is wrong
        return content
    return complete(content, settings)


def validate(values: Values, *, foreign: bool = False) -> RunConfig:
    """Type the values, or say everything that is wrong with them.

    foreign: a stranger's config, whose paths are not even looked at (asking for `/net/host` mounts it).
    """
    unfit = islice(unplain(walk(values.content, ())), MOST_PROBLEMS)
    problems = [f"{values.where(key)}: {short('.'.join(map(str, key)))}: {why}" for key, why in unfit]
    if problems:  # what else is wrong would be said with these texts
        raise refused(problems)
    content = dict(values.content)
    try:
        content["source"] = source_settings(content.get("source"), values)
    except ValidationError as error:
        problems += [
            explain({**problem, "loc": ("source", *problem["loc"])}, values)
            for problem in error.errors(include_url=False)[:MOST_PROBLEMS]
        ]
        content["source"] = Settings()
    except ConfigError as error:
        problems.append(str(error))
        content["source"] = Settings()
    if not foreign and is_simulated(content["source"]):
        content["synthetic"] = True
    try:
        run = RunConfig.model_validate(content)
    except ValidationError as error:
        problems += [explain(problem, values) for problem in error.errors(include_url=False)[:MOST_PROBLEMS]]
    else:
        if not problems:
            return run
    raise refused(problems)


def refused(problems: Sequence[str]) -> ConfigError:
    """The error that says the first of these, a line each, whatever signs a stranger put into them."""
    lines = [plain(line).replace("\n", "\\n")[:LONGEST_LINE] for line in dict.fromkeys(problems)]
    return ConfigError("\n".join(lines[:MOST_PROBLEMS]))


def takes_place(key: Key, values: Values) -> bool:
    """Whether a path or URI is asked for at `key`: a source's paths, the store's URI, folders of weights."""
    here: Any = values.content
    for step in key[:-1]:
        here = here[step]
    block = allowed().get(str(here.get("_target_")), {}) if isinstance(here, Mapping) else {}
    weights = key[-1] == "warm_start" and (
        key[:-1] in {("training",), ("training", "separate")}
        or (len(key) == 4 and key[0] in {"experts", "paradigms"} and key[2] == "training")
    )
    weights |= len(key) == 5 and (key[0], key[2], key[4]) == ("experts", "weights", "file")
    if key == ("tracking", "uri") or weights or block.get(str(key[-1])) == "place":
        return True
    return key[0] == "source" and Path in with_arguments(annotation_at(key[1:], values))


def annotation_at(key: Key, values: Values) -> Any:
    """The annotated type of a source's setting; None where there is no such setting."""
    source = values.content.get("source")
    here: Any = source_class(str(source.get("name"))) if isinstance(source, Mapping) else None
    annotation: Any = None
    for step in key:
        field = getattr(here, "model_fields", {}).get(str(step))
        if field is None:
            return None
        annotation = field.annotation
        nested = [part for part in with_arguments(annotation) if hasattr(part, "model_fields")]
        here = nested[0] if nested else None
    return annotation


def is_simulated(source: Settings) -> bool:
    """Whether a simulator made the data: it leaves what an ideal observer reaches beside them, and a real data set has none."""
    root = getattr(source, "root", None)
    try:
        return isinstance(root, Path) and (root / IDEAL).exists()
    except OSError as error:
        raise ConfigError(f"source.root can't be looked at: {error.strerror}; name the folder of the data") from error


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
    said = str(problem["msg"]).partition(" for <class")[0]  # of a path pydantic names its Python class too
    return f"{place}: {dotted}: {said}, found {problem['input']!r:.80}"


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
            f"{values.where(('source', 'name'))}: source.name '{short(block['name'])}' is not a source (there are {', '.join(names)}){hint}"
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
    if not (
        isinstance(settings, type)
        and issubclass(settings, Settings)
        and "Source" in {*vars(module), *getattr(module, "__all__", ())}
    ):
        return None
    field = settings.model_fields.get("name")
    return settings if field is not None and field.default == name else None


def source_names() -> list[str]:
    """Return the data sets that there are."""
    package = importlib.import_module("i2m2_med.sources")
    return [module.name for module in pkgutil.iter_modules(package.__path__) if source_class(module.name)]


def lint_targets(run: RunConfig, values: Values) -> None:
    """Refuse what a config could run: `$` expressions, references, and classes and arguments that are not on the list."""
    content = run.model_dump(exclude={"source"})
    problems = [line for key, value in walk(content, ()) if (line := expression(key, value, values))]
    wrong = islice(refusals(content, run.plugins), MOST_PROBLEMS)
    problems += [f"{values.where(key)}: {'.'.join(map(str, key))}: {why}" for key, why in wrong]
    if problems:
        raise refused(problems)


def lint_foreign(run: RunConfig, values: Values, own: Collection[str] | None = None) -> None:
    """Refuse what a config from a model folder, bundle or registry asks for beyond the list: code, and places on this machine.

    own: it is a run's config in the store, which says where its data lie; and these places were named by it in this workspace.
    """
    code = [plugin for plugin in run.plugins if plugin not in trusted()]
    if code:
        raise ConfigError(
            f"{values.name}: the config wants to run code from {', '.join(map(short, code))}; "
            f"if you trust that code, add --trust {short(code[0])}, or set {VARIABLE}"
        )
    lint_targets(run, values)
    named = [(key, place) for key, place in places(run.model_dump(exclude={"source"})) if not is_trusted_place(place)]
    named = [(key, place) for key, place in named if place not in (own or ())]
    if own is None:
        read = {"source": run.source, "split": run.split, "modalities": run.modalities, "experts": run.experts}
        named += [((part, *key), place) for part, settings in read.items() for key, place in foreign_places(settings)]
    if named:
        key, place = named[0]
        raise ConfigError(
            f"{values.name}: {'.'.join(map(str, key))} names a place on this machine, {short(place)}; "
            f"if it may be read, add --trust FOLDER (absolute), or set {VARIABLE}"
        )


def expression(key: Key, value: Any, values: Values) -> str | None:
    """Return what is wrong with a value that MONAI's parser would run or follow; None with any other."""
    if isinstance(value, str) and value.startswith(("$", "@", "%")):
        dotted = ".".join(map(str, key))
        return (
            f"{values.where(key)}: {dotted}: '{short(value)}' is an expression or reference; configs hold values only"
        )
    return None


def walk(content: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    """Every leaf of nested mappings and lists, with its path; an empty mapping or list is one."""
    if content and isinstance(content, Mapping):
        for name, value in content.items():
            yield from walk(value, (*key, name))
    elif content and isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from walk(value, (*key, index))
    else:
        yield key, content
