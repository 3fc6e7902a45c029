"""One slice of any raw or image file that the knee track reads."""

from i2m2_med.sources.fastmri_volume import read_kspace, read_rss

__all__ = ["read_kspace", "read_rss"]
