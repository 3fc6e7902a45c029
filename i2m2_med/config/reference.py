"""The reference of settings, made from the classes that type them: `python -m i2m2_med.config.reference > docs/settings.md`."""

import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from i2m2_med.config.reader import source_class, source_names, with_arguments
from i2m2_med.config.run import RunConfig
from i2m2_med.config.settings import Settings
from i2m2_med.errors import ConfigError

HEAD = """# Settings

Every setting of a config, with its type, default and meaning. Made from the classes that read them by
`python -m i2m2_med.config.reference > docs/settings.md`; a test fails where this page is behind.
"""
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def settings_page() -> str:
    """Return the page in Markdown. Raises ConfigError for a setting without a meaning."""
    sections = [section("Run", RunConfig)]
    sections += [section(cls.__name__, cls) for cls in parts_of(RunConfig)]
    for name in source_names():
        cls = source_class(name)
        assert cls is not None
        sections.append(section(f"source: {name}", cls))
        sections += [section(f"source: {name}, {part.__name__}", part) for part in parts_of(cls)]
    return "\n".join([HEAD, *sections])


def parts_of(cls: type[Settings]) -> list[type[Settings]]:
    """Return the settings classes inside a class's settings, and those inside these, each once."""
    parts: list[type[Settings]] = []
    waiting = [cls]
    while waiting:
        fields = waiting.pop(0).model_fields.values()
        for part in (part for field in fields for part in with_arguments(field.annotation)):
            if isinstance(part, type) and issubclass(part, Settings) and part not in {Settings, cls, *parts}:
                parts.append(part)
                waiting.append(part)
    return parts


def section(title: str, cls: type[Settings]) -> str:
    """Return a heading, the class's own description, and a row per setting."""
    rows = [row(cls, name, field) for name, field in cls.model_fields.items() if not field.exclude]
    table = ["| setting | type | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join([f"## {title}", "", " ".join((cls.__doc__ or "").split()), "", *table, ""])


def row(cls: type[Settings], name: str, field: FieldInfo) -> str:
    """Return a row of the table. Raises ConfigError where the setting has no docstring."""
    meaning = field.description
    if name == "name" and meaning is None:
        meaning = "The data set's name."
    if not meaning:
        raise ConfigError(f"{cls.__module__}.{cls.__name__}.{name} has no docstring; say what it means below its line")
    default = "required" if field.is_required() else default_of(field.get_default(call_default_factory=True))
    limits = [
        f"{sign} {getattr(limit, key)}"
        for limit in field.metadata
        for key, sign in SIGNS.items()
        if hasattr(limit, key)
    ]
    cells = (f"`{name}`", " ".join([spelt(field.annotation), *limits]), default, " ".join(meaning.split()))
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def default_of(value: Any) -> str:
    """Return a default as a config would write it; a part's own defaults stand in its own section."""
    if value is None:
        return "none"
    held: Any = list(value.values()) if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
    if any(isinstance(each, Settings) for each in held):
        return "as below"
    text = str(list(held) if isinstance(value, tuple) else value)
    return f"`{text}`" if len(text) <= 80 else "see the class"


def spelt(annotation: Any) -> str:
    """Return a type in plain words.

    >>> spelt(dict[str, tuple[int, ...]]), spelt(Literal["a", "b"] | None)
    ('mapping of text → list of whole number', "'a', 'b' or none")
    """
    words = {str: "text", int: "whole number", float: "number", bool: "true/false", NoneType: "none", Path: "path"}
    origin, inner = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return spelt(inner[0])
    if annotation in words:
        return words[annotation]
    if origin is Literal:
        return ", ".join(map(repr, inner))
    if origin in {Union, UnionType}:
        return " or ".join(map(spelt, inner))
    if origin is tuple:
        return f"list of {spelt(inner[0])}"
    if len(inner) == 2:
        return "block" if inner == (str, Any) else f"mapping of {spelt(inner[0])} → {spelt(inner[1])}"
    return str(getattr(annotation, "__name__", annotation))


if __name__ == "__main__":
    sys.stdout.write(settings_page())
