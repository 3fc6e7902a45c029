"""Recorded runs opened again: verify, evaluate elsewhere, promote."""
