"""A MEDS data set (the Medical Event Data Standard), read as MIMIC's tables."""

from i2m2_med.sources.meds.source import Settings, Source

__all__ = ["Settings", "Source"]
