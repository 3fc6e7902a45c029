"""Synthetic MIMIC-IV tables (2.2 or 3.1) in the release's format, with known dependencies."""

from i2m2_med.simulate.mimic4.write import simulate

__all__ = ["simulate"]
