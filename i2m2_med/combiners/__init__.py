"""Combiners: stacked log-probabilities and presence → log-probabilities. One file each."""

from i2m2_med.combiners.mean import MeanOfExperts
from i2m2_med.combiners.product import ProductOfExperts

__all__ = ["MeanOfExperts", "ProductOfExperts"]
