"""AV-MNIST arrays from real MNIST digits and real speech, with known dependencies."""

from i2m2_med.simulate.avmnist.write import simulate

__all__ = ["simulate"]
