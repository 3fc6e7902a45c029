"""Disk → records and arrays: one module or package per data set, and the file formats that they share."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from i2m2_med.config.settings import Settings
    from i2m2_med.sources.source import Source


def source_of(settings: "Settings") -> "Source":
    """Return the data set that `settings.name` names, as its settings describe it. Nothing is read."""
    name: str = settings.model_dump()["name"]
    source: Source = import_module(f"i2m2_med.sources.{name}").Source(settings)
    return source
