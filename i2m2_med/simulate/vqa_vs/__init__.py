"""VQA-VS's format with shortcuts in the question, the picture and both, and ideal observers that take them or leave them."""

from i2m2_med.simulate.vqa_vs.write import simulate

__all__ = ["simulate"]
