"""fastMRI-format multi-coil brain k-space with fastMRI+ annotations, with known dependencies."""

from i2m2_med.simulate.brain.write import simulate

__all__ = ["simulate"]
