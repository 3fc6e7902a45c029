"""A stranger's table: a row per study, with paths to images, columns of numbers and words, texts, series, signals and labels."""

from typing import TYPE_CHECKING, Any

from i2m2_med.sources.table.completion import complete
from i2m2_med.sources.table.settings import Settings

if TYPE_CHECKING:
    from i2m2_med.sources.table.source import Source

__all__ = ["Settings", "Source", "complete"]


def __getattr__(name: str) -> Any:
    """`Source` reads every file format, and other data sets need only its columns of numbers and words."""
    if name != "Source":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from i2m2_med.sources.table.source import Source

    return Source
