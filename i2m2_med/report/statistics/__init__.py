"""Metrics, intervals and tests from prediction tables."""
