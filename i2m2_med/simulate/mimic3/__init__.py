"""Synthetic MIMIC-III tables in the release's format, with known dependencies."""

from i2m2_med.simulate.mimic3.write import simulate

__all__ = ["simulate"]
