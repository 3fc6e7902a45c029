"""NLVR v1 and NLVR2: sentences that are true or false of pictures (Suhr et al. 2017, 2019)."""

from i2m2_med.sources.nlvr.source import Settings, Source

__all__ = ["Settings", "Source"]
