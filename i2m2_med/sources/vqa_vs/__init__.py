"""VQA-VS (Si et al. 2022): questions about COCO's pictures, tested in distribution and on nine shifts of a shortcut."""

from i2m2_med.sources.vqa_vs.source import Settings, Source

__all__ = ["Settings", "Source"]
