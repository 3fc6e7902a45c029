"""YAML with line numbers, `extends:` chains, `-s` overrides and `${ENVIRONMENT}` values: where every value came from."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from i2m2_med.console import plain
from i2m2_med.documents import DEEPEST, NotPlain, load_yaml, read_start, read_yaml
from i2m2_med.errors import ConfigError

Key = tuple[str | int, ...]

LONGEST_CHAIN = 20
"""Files that extend one another."""
LISTED = "`i2m2 check --list` shows them"


@dataclass(frozen=True)
class Values:
    """A config before it is typed: plain values, and for each key path the place it was written."""

    name: str
    content: dict[str, Any]
    origins: dict[Key, str]

    def where(self, key: Key) -> str:
        """The place of `key`, or of the nearest key around it: 'configs/runs/a_run.yaml line 14'."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.origins:
                return self.origins[key[:length]]
        return self.origins.get((), self.name)


def read_values(config: str, overrides: Sequence[str] = ()) -> Values:
    """Read a config named by path or by the name of a shipped one, with `key.sub=value` overrides typed as YAML."""
    path = find_config(config)
    content, origins = read_chain(path, ())
    for override in overrides:
        key, value = parse_override(override)
        put(content, key, value)
        drop = [old for old in origins if old[: len(key)] == key]
        for old in drop:
            del origins[old]
        origins[key] = f"-s {shown('.'.join(map(str, key))):.80}"
    return Values(path.stem, content, origins)


def shipped() -> dict[str, Path]:
    """The run configs that ship with the package, by name."""
    folder = Path(str(files("i2m2_med.configs"))) / "runs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(config: str) -> Path:
    """A file as it is named, or a shipped config by its name."""
    path = Path(config)
    if path.suffix in {".yaml", ".yml"} or "/" in config:
        if is_file(path):
            return path
        raise ConfigError(f"{shown(config)} is not a file; name a YAML file or a shipped config ({LISTED})")
    if config in shipped():
        return shipped()[config]
    raise ConfigError(f"no shipped config is named '{shown(config)}'; {nearest_shipped(config)}")


def nearest_shipped(name: str) -> str:
    """Return which shipped config was meant, or where they are listed."""
    from difflib import get_close_matches

    near = get_close_matches(name[:100], shipped(), n=1)
    return f"did you mean '{near[0]}'?" if near else LISTED


def read_chain(path: Path, below: tuple[Path, ...]) -> tuple[dict[str, Any], dict[Key, str]]:
    """A file and all that it extends, nearest last."""
    content, origins = read_file(path)
    base = content.pop("extends", None)
    if base is None:
        return content, origins
    beside = path.parent / str(base)
    parent = beside.resolve() if is_file(beside) else shipped().get(str(base))
    if parent is None or parent in below or len(below) >= LONGEST_CHAIN:
        wrong = (
            f"neither a file beside it nor a shipped config; {nearest_shipped(str(base))}"
            if parent is None
            else "a circle"
            if parent in below
            else "one of too many"
        )
        raise ConfigError(f"{origins[('extends',)]}: extends '{shown(str(base))}', which is {wrong}")
    under, under_origins = read_chain(parent, (*below, path.resolve()))
    merge(under, content, (), under_origins)
    return under, {**under_origins, **origins}


def is_file(path: Path) -> bool:
    """Whether there is such a file; no name that no file can have is one."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def shown(word: str) -> str:
    """A name as it was given, as far as one line and a terminal take it."""
    return plain(word).replace("\n", "\\n")[:200]


def read_file(path: Path) -> tuple[dict[str, Any], dict[Key, str]]:
    """Safe-load one YAML file, with the line of every key."""
    try:
        content, node = load_yaml(read_start(path))
    except NotPlain as error:
        raise ConfigError(f"{path}{f' line {error.line}' if error.line else ''}: {error.why}") from error
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a config is a mapping of settings, this holds {type(content).__name__}")
    origins: dict[Key, str] = {}
    note_lines(node, (), str(path), origins)
    return content, origins


def note_lines(node: Any, key: Key, path: str, origins: dict[Key, str]) -> None:
    """Write down the line of each key below `node`; a key that stands twice is refused (YAML would keep the last)."""
    origins.setdefault(key, f"{path} line {node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        for name, child in node.value:
            below = (*key, name.value)
            line = f"{path} line {name.start_mark.line + 1}"
            if below in origins:
                raise ConfigError(f"{line}: {'.'.join(map(str, below))} is set twice")
            origins[below] = line
            note_lines(child, below, path, origins)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            note_lines(child, (*key, index), path, origins)


def merge(under: dict[str, Any], over: dict[str, Any], key: Key, origins: dict[Key, str]) -> None:
    """Lay `over` on `under`: mappings merge, all else (and a block with another `_target_`) replaces."""
    for name, value in over.items():
        old = under.get(name)
        if isinstance(old, dict) and isinstance(value, dict) and same_target(old, value):
            merge(old, value, (*key, name), origins)
        else:
            under[name] = value
            forget(old, (*key, name), origins)


def forget(old: Any, key: Key, origins: dict[Key, str]) -> None:
    """Drop the places of what was replaced."""
    origins.pop(key, None)
    steps = old.items() if isinstance(old, dict) else enumerate(old) if isinstance(old, list) else ()
    for step, value in steps:
        forget(value, (*key, step), origins)


def same_target(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two blocks build the same class, so that the new one only changes settings of the old."""
    return new.get("_target_", old.get("_target_")) == old.get("_target_")


def parse_override(override: str) -> tuple[Key, Any]:
    """`training.epochs=3` → (('training', 'epochs'), 3); the value is YAML."""
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise ConfigError(f"-s {shown(override)}: write key.sub=value")
    if name.count(".") > DEEPEST:
        raise ConfigError(f"-s {shown(override)}: a key has at most {DEEPEST} steps")
    try:
        value = read_yaml(text)
    except NotPlain as error:
        raise ConfigError(f"-s {shown(override):.80}: {error.why}") from error
    return tuple(name.split(".")), value


def put(content: dict[str, Any], key: Key, value: Any) -> None:
    """Set a value at a dotted path; steps of digits index lists."""
    here: Any = content
    for step in key[:-1]:
        if isinstance(here, list):
            here = here[list_index(here, step, key)]
            if not isinstance(here, dict | list):
                raise ConfigError(
                    f"-s {shown('.'.join(map(str, key)))}: '{shown(str(step))}' holds a value, nothing inside"
                )
        else:
            if not isinstance(here.get(step), dict | list):
                here[step] = {}
            here = here[step]
    if isinstance(here, list):
        here[list_index(here, key[-1], key)] = value
    else:
        here[key[-1]] = value


def list_index(items: list[Any], step: str | int, key: Key) -> int:
    """The index that a step of an override names, checked against the list."""
    if not re.fullmatch(r"[0-9]{1,9}", str(step)) or int(step) >= len(items):
        where = shown(".".join(map(str, key)))
        raise ConfigError(f"-s {where}: '{shown(str(step))}' is not an index of a list of {len(items)}")
    return int(step)


def expand(content: Any, key: Key, values: Values, takes_place: Callable[[Key], bool]) -> Any:
    """Put environment variables into `${NAME}` where a path or URI is asked for (`takes_place`); elsewhere they are refused.

    They hold secrets, and what stands in a task or a name goes to the store, the report and the model.
    """
    if isinstance(content, dict):
        return {name: expand(value, (*key, name), values, takes_place) for name, value in content.items()}
    if isinstance(content, list):
        return [expand(value, (*key, index), values, takes_place) for index, value in enumerate(content)]
    if not isinstance(content, str) or "${" not in content:
        return content
    if not takes_place(key):
        raise ConfigError(
            f"{values.where(key)}: {'.'.join(map(str, key))}: environment variables stand in paths and URIs only; write the value"
        )
    if key == ("tracking", "uri") and re.match(r"(?!sqlite:|file:)[^$]*://", content):
        raise ConfigError(
            f"{values.where(key)}: {'.'.join(map(str, key))}: environment variables would be sent to that server; "
            "let one variable hold the whole address"
        )
    for name in re.findall(r"\$\{(\w+)\}", content):
        if name not in os.environ:
            dotted = ".".join(map(str, key))
            raise ConfigError(
                f"{values.where(key)}: {dotted} needs the environment variable {name}; export it, or use -s {dotted}=…"
            )
        content = content.replace(f"${{{name}}}", os.environ[name])
    return content
