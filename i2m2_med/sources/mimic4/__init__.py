"""MIMIC-IV 2.2 and 3.1 (`hosp/`, `icu/`, optional `note/`), by the pipeline of MIMIC-III."""

from i2m2_med.sources.mimic4.source import Settings, Source

__all__ = ["Settings", "Source"]
