"""The fixtures of MIMIC-III's tests: the demo, its mapped items alone, and sources built with any settings."""

from tests.sources.mimic3.conftest import build, demo, thin

__all__ = ["build", "demo", "thin"]
