"""A stranger's table: a row per study, with paths to images, columns of numbers and words, texts, series, signals and labels."""

from i2m2_med.sources.table.completion import complete
from i2m2_med.sources.table.settings import Settings
from i2m2_med.sources.table.source import Source

__all__ = ["Settings", "Source", "complete"]
