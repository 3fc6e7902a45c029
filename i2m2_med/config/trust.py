"""The user's own trust beyond the list, stated outside of any config: module prefixes, and folders to read from."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

VARIABLE = "I2M2_TRUST"
"""Environment variable: prefixes of `_target_` and absolute folders, separated as in PATH. Worker processes inherit it."""

WITHHELD = "withheld"
"""The word in a model folder's config in place of the paths of the training data."""


def trusted() -> tuple[str, ...]:
    """The prefixes and folders that are trusted."""
    return tuple(part for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part)


def trust(more: Iterable[str]) -> None:
    """Trust these too, in this process and those that it starts."""
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*trusted(), *more]))


def is_trusted_place(place: str) -> bool:
    """Whether a file or folder lies in a trusted folder."""
    folders = [Path(part).resolve() for part in trusted() if Path(part).is_absolute()]
    return any(Path(place).resolve().is_relative_to(folder) for folder in folders)


def paths_in(settings: Any, key: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Path]]:
    """The paths among typed settings, each with its key."""
    if isinstance(settings, Path):
        return [(key, settings)]
    if isinstance(settings, BaseModel):
        inside = {name: getattr(settings, name) for name in type(settings).model_fields}
    elif isinstance(settings, tuple):
        inside = dict(enumerate(settings))
    else:
        inside = settings if isinstance(settings, Mapping) else {}
    return [entry for name, value in inside.items() for entry in paths_in(value, (*key, str(name)))]


def foreign_places(settings: Any) -> list[tuple[tuple[str, ...], str]]:
    """The paths among typed settings that a foreign config may not name, each with its key."""
    named = [(key, str(place)) for key, place in paths_in(settings)]
    return [(key, place) for key, place in named if place != WITHHELD and not is_trusted_place(place)]
