"""NLVR v1's format with scenes and sentences whose truth lies between them and in neither alone."""

from i2m2_med.simulate.nlvr.write import simulate

__all__ = ["simulate"]
