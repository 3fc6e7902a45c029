"""Combiners: stacked log-probabilities and presence → log-probabilities. One file each."""

from i2m2_med.combiners.gated import GatedProduct
from i2m2_med.combiners.mean import MeanOfExperts
from i2m2_med.combiners.product import ProductOfExperts
from i2m2_med.combiners.stacking import StackedExperts

__all__ = ["GatedProduct", "MeanOfExperts", "ProductOfExperts", "StackedExperts"]
