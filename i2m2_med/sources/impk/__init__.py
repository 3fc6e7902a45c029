"""MultiBench's im.pk: the paper's own MIMIC-III arrays, as their owner has them."""

from i2m2_med.sources.impk.source import Settings, Source

__all__ = ["Settings", "Source"]
