"""VQA-RAD (Lau et al. 2018): clinicians' questions about 314 radiology pictures."""

from i2m2_med.sources.vqa_rad.source import Settings, Source

__all__ = ["Settings", "Source"]
