"""MIMIC-III: tables to leak-free tensors (series, static, notes), and the paper's task bug for bug where wanted."""

from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.mimic3.source import Source

__all__ = ["Settings", "Source"]
