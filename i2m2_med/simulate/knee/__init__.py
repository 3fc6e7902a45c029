"""fastMRI-format knee k-space with fastMRI+ annotations, with known dependencies."""

from i2m2_med.simulate.knee.write import simulate

__all__ = ["simulate"]
