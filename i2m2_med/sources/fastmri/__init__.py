"""fastMRI volumes of knees or brains with fastMRI+ annotations: one record per slice."""

from i2m2_med.sources.fastmri.source import Settings, Source

__all__ = ["Settings", "Source"]
